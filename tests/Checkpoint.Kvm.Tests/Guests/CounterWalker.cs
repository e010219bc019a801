using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>
/// Walks one vCPU of a counter through its step, change by change, without any of the verifier's arithmetic: each
/// change is one instruction of counter.S, and rip is left at the label behind it.
/// </summary>
internal sealed class CounterWalker(GuestState state, int vcpu)
{
    private readonly CounterProgram _program = (CounterProgram)state.Program;
    private ulong _n87;

    private GeneralRegisters Registers
    {
        get => state[vcpu];
        set => state[vcpu] = value;
    }

    private ulong Page => _program.OwnPage(vcpu);

    /// <summary>Runs from the entry to the loop.</summary>
    public void Begin()
    {
        state.SetX87(vcpu, 0);
        state.SetVectors(vcpu, 0, _program.Options.UseYmm);
        At(CounterCode.LoopStart);
    }

    /// <summary>Runs one step; the caller looks at the state wherever the step pauses.</summary>
    public IEnumerable<ulong> Step()
    {
        Registers = Registers with { Rbx = (Registers.Rbx * Registers.Rsi) + Registers.R8 };
        yield return At(CounterCode.XInRegister);
        Registers = Registers with { Rbp = Registers.Rbp + 1 };
        yield return At(CounterCode.NInRegister);
        state.SetX87(vcpu, ++_n87);
        yield return At(CounterCode.NInX87);
        state.SetVectors(vcpu, Registers.Rbp, _program.Options.UseYmm);
        if (_program.Options.UseYmm)
        {
            yield return At(CounterCode.NInYmm);
        }

        yield return At(CounterCode.NInXmm);
        state.SetWord(Page + CounterCode.PageOfX, Registers.Rbx);
        yield return At(CounterCode.XInMemory);
        state.SetWord(Page + CounterCode.PageOfN, Registers.Rbp);
        yield return At(CounterCode.NInMemory);
        foreach (var rip in WritePage().Concat(ReadPort()))
        {
            yield return rip;
        }

        yield return At(CounterCode.LoopStart);
    }

    public void Steps(int count)
    {
        for (var i = 0; i < count; i++)
        {
            foreach (var _ in Step())
            {
                // Only the state at the end is asked for.
            }
        }
    }

    private IEnumerable<ulong> WritePage()
    {
        if ((Registers.Rbp & Registers.R13) != 0)
        {
            yield break;
        }

        state.SetWord(Registers.R9 + Registers.R11, Registers.Rbp);
        yield return At(CounterCode.PageWritten);
        var next = Registers.R11 + 4096;
        Registers = Registers with { R11 = next >= Registers.R10 ? 0 : next };
        yield return At(CounterCode.PageAdvanced);
    }

    private IEnumerable<ulong> ReadPort()
    {
        if ((Registers.Rbp & Registers.R14) != 0)
        {
            yield break;
        }

        var data = new byte[4];
        Assert.True(state.Device.TryRead(vcpu, SequenceDevice.SequencePort, data));
        yield return At(CounterCode.SequenceTaken);
        Registers = Registers with { R12 = Registers.R12 + 1 };
        yield return At(CounterCode.SequenceCounted);
        state.SetWord(Page + CounterCode.PageOfCount, Registers.R12);
        yield return At(CounterCode.SequenceStored);
        if (Registers.R12 % CounterCode.ReportEvery == 0)
        {
            Assert.True(state.Device.TryWrite(
                vcpu, SequenceDevice.ReportPort, BitConverter.GetBytes((uint)Registers.R12)));
            yield return At(CounterCode.Reported);
        }
    }

    private ulong At(ulong label)
    {
        Registers = Registers with { Rip = _program.CodeStart + label };
        return label;
    }
}
