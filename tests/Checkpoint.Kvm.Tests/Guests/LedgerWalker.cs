using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>
/// Walks one vCPU of a ledger through its step, change by change: each change is one instruction of ledger.S, and rip
/// is left at the label behind it.
/// </summary>
internal sealed class LedgerWalker(GuestState state, int vcpu)
{
    private readonly LedgerProgram _program = (LedgerProgram)state.Program;

    private GeneralRegisters Registers
    {
        get => state[vcpu];
        set => state[vcpu] = value;
    }

    private ulong Page => _program.OwnPage(vcpu);

    public IEnumerable<ulong> Step()
    {
        Registers = Registers with
        {
            R8 = (Registers.R8 * state.Word(Page + LedgerCode.PageOfMultiplier)) + state.Word(Page + LedgerCode.PageOfIncrement),
        };
        yield return At(LedgerCode.RandomDrawn);
        Registers = Registers with { Rsi = Registers.Rsi + 1 };
        yield return At(LedgerCode.StepCounted);
        state.SetWord(Page + LedgerCode.PageOfSteps, Registers.Rsi);
        yield return At(LedgerCode.StepStored);

        var slot = Registers.R9 + ((Registers.R8 >> 32) & Registers.R10);
        var taken = state.Word(slot);
        state.SetWord(slot, Registers.Rbx);
        Registers = Registers with { Rbx = taken, Rip = _program.CodeStart + LedgerCode.StepStored + 11 };
        yield return LedgerCode.StepStored + 11; // Behind SHR, AND and XCHG, where there is no label.
        if (taken != 0)
        {
            Registers = Registers with { Rbx = taken + LedgerCode.OneHop };
            yield return At(LedgerCode.HopRaised);
            Registers = Registers with { Rbp = Registers.Rbp + 1 };
            yield return At(LedgerCode.HopCounted);
            state.SetWord(Page + LedgerCode.PageOfHops, Registers.Rbp);
        }

        yield return At(LedgerCode.HandSettled);
        SwapPocket();
        yield return At(LedgerCode.PocketDone);
        foreach (var rip in ReadPort())
        {
            yield return rip;
        }

        yield return At(LedgerCode.LoopStart);
    }

    private void SwapPocket()
    {
        var r = Registers;
        Registers = ((r.R8 >> 56) & 3) switch
        {
            0 => r with { Rbx = r.R12, R12 = r.Rbx },
            1 => r with { Rbx = r.R13, R13 = r.Rbx },
            2 => r with { Rbx = r.R14, R14 = r.Rbx },
            _ => r with { Rbx = r.R15, R15 = r.Rbx },
        };
    }

    private IEnumerable<ulong> ReadPort()
    {
        if ((Registers.Rsi & Registers.R11) != 0)
        {
            yield break;
        }

        var data = new byte[4];
        Assert.True(state.Device.TryRead(vcpu, SequenceDevice.SequencePort, data));
        yield return At(LedgerCode.SequenceTaken);
        var count = state.Word(Page + LedgerCode.PageOfCount) + 1;
        Assert.Equal((uint)count, BitConverter.ToUInt32(data));
        state.SetWord(Page + LedgerCode.PageOfCount, count);
        yield return At(LedgerCode.SequenceCounted);
        if (count % LedgerCode.ReportEvery == 0)
        {
            Assert.True(state.Device.TryWrite(vcpu, SequenceDevice.ReportPort, BitConverter.GetBytes((uint)count)));
            yield return At(LedgerCode.Reported);
        }
    }

    private ulong At(ulong label)
    {
        Registers = Registers with { Rip = _program.CodeStart + label };
        return label;
    }
}
