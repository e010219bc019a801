using Checkpoint.Kvm.Guests;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>
/// Walks one vCPU of a timer guest through its step and its handlers, change by change, without any of the verifier's
/// arithmetic: each change is one instruction of timer.S, and rip is left at the label behind it.
/// </summary>
internal sealed class TimerWalker(TimerState state, int vcpu)
{
    // In struct kvm_regs.
    public const int Rax = 0;
    public const int Rbx = 1;
    public const int Rcx = 2;
    public const int Rdx = 3;
    public const int Rsi = 4;
    public const int Rdi = 5;
    public const int Rsp = 6;
    public const int Rbp = 7;
    public const int R8 = 8;
    public const int R9 = 9;
    public const int R10 = 10;
    public const int R11 = 11;
    public const int R12 = 12;
    public const int R13 = 13;
    public const int R14 = 14;
    public const int R15 = 15;
    public const int Rip = 16;
    public const int Rflags = 17;

    private const ulong UserCode = 0x33;
    private const ulong UserData = 0x2b;
    private const ulong KernelCode = 0x08;
    private const ulong InterruptFlag = 0x200;
    private const ulong ResumeFlag = 0x1_0000;

    private ulong _n;

    private ulong Page => state.Program.OwnPage(vcpu);

    private bool ByDeadline => state.Program.UsesDeadline(vcpu);

    private ref ulong this[int register] => ref state.Registers(vcpu)[register];

    /// <summary>Runs from the entry to the loop.</summary>
    public void Begin()
    {
        state.SetX87(vcpu, 0);
        state.LoadVectors(vcpu);
        At(TimerCode.LoopStart);
    }

    public void Steps(int count)
    {
        for (var i = 0; i < count; i++)
            Exhaust(Step());
    }

    public void Ticks(int count)
    {
        for (var i = 0; i < count; i++)
            Exhaust(Tick());
    }

    /// <summary>Runs one step; the caller looks at the state wherever the step pauses.</summary>
    public IEnumerable<ulong> Step()
    {
        this[Rdx] = (this[Rbx] * this[Rsi]) + this[R8];
        this[Rbx] = this[Rdx];
        yield return At(TimerCode.XInRegister);
        this[Rbp] = ++_n;
        yield return At(TimerCode.NInRegister);
        state.SetX87(vcpu, _n);
        yield return At(TimerCode.NInX87);
        foreach (var label in StepVectors())
            yield return label;
        yield return At(TimerCode.NInVectors);
        state.SetWord(Page + TimerCode.PageOfX, this[Rbx]);
        yield return At(TimerCode.XInMemory);
        state.SetWord(Page + TimerCode.PageOfN, _n);
        yield return At(TimerCode.NInMemory);
        if ((_n & this[R13]) == 0)
        {
            state.SetWord(this[R9] + this[R11], _n);
            yield return At(TimerCode.PageWritten);
            var next = this[R11] + 4096;
            this[R11] = next >= this[R10] ? 0 : next;
            yield return At(TimerCode.PageAdvanced);
        }

        yield return At(TimerCode.LoopStart);
    }

    /// <summary>Takes the timer's interrupt wherever the loop is, and comes back there.</summary>
    public IEnumerable<ulong> Tick()
    {
        var top = state.Program.StackTop(vcpu);
        var saved = state.Registers(vcpu).ToArray();
        if (ByDeadline)
            state.Deadline(vcpu) = 0;
        state.Lapics[vcpu][TimerState.InService] = 1;
        Push(top, saved[Rip], UserCode, saved[Rflags], saved[Rsp], UserData);
        this[Rflags] &= ~InterruptFlag;
        yield return At(TimerCode.TimerHandler);
        foreach (var register in (int[])[Rax, Rcx, Rdx])
            state.SetWord(this[Rsp] -= 8, this[register]);
        yield return At(TimerCode.Breakpoint);
        foreach (var label in Trap())
            yield return label;
        state.SetWord(Page + TimerCode.PageOfTicks, state.Word(Page + TimerCode.PageOfTicks) + 1);
        this[Rcx] = state.Word(Page + TimerCode.PageOfTicks);
        yield return At(TimerCode.TickCounted);
        var data = new byte[4];
        Assert.True(state.Device.TryRead(vcpu, SequenceDevice.SequencePort, data));
        Assert.Equal((uint)this[Rcx], BitConverter.ToUInt32(data));
        yield return At(TimerCode.TickTaken);
        if (this[Rcx] % TimerCode.ReportEvery == 0)
            Assert.True(state.Device.TryWrite(vcpu, SequenceDevice.ReportPort, data));
        yield return At(TimerCode.Reported);
        if (ByDeadline)
            state.Deadline(vcpu) = 0x1234_5678;
        yield return At(ByDeadline ? TimerCode.ArmedDeadline : TimerCode.ArmedCount);
        yield return At(TimerCode.Armed);
        state.Lapics[vcpu][TimerState.InService] = 0;
        yield return At(TimerCode.Acknowledged);
        saved.CopyTo(state.Registers(vcpu));
        yield return this[Rip] - state.Program.CodeStart;
    }

    private IEnumerable<ulong> Trap()
    {
        var saved = state.Registers(vcpu).ToArray();
        var breakpoint = saved[Rip];
        state.Debug[vcpu][4] |= 1;
        Push(saved[Rsp], breakpoint, KernelCode, saved[Rflags] | ResumeFlag, saved[Rsp], 0);
        yield return At(TimerCode.TrapHandler);
        state.SetWord(this[Rsp] -= 8, this[Rax]);
        state.Debug[vcpu][4] &= ~1UL;
        yield return At(TimerCode.Dr6Cleared);
        state.SetWord(Page + TimerCode.PageOfTraps, state.Word(Page + TimerCode.PageOfTraps) + 1);
        yield return At(TimerCode.TrapCounted);
        state.SetWord(saved[Rsp] - 40, breakpoint + 1);
        yield return At(TimerCode.TrapPassed);
        saved.CopyTo(state.Registers(vcpu));
        this[Rflags] |= ResumeFlag;
        yield return At(TimerCode.BreakpointPassed);
        this[Rflags] &= ~ResumeFlag;
    }

    private IEnumerable<ulong> StepVectors()
    {
        state.SetVector(vcpu, 15, _n);
        if (!state.Program.Options.UseZmm)
        {
            yield return At(state.Program.Options.UseYmm ? TimerCode.NInYmm : TimerCode.NInXmm);
            yield break;
        }

        yield return At(TimerCode.NInZmm);
        state.SetVector(vcpu, 31, _n);
        yield return At(TimerCode.NInHighZmm);
        state.SetMask(vcpu, 1, _n);
    }

    /// <summary>Pushes what an interrupt pushes, from a boundary of 16 downwards.</summary>
    private void Push(ulong from, ulong rip, ulong cs, ulong rflags, ulong rsp, ulong ss)
    {
        Assert.Equal(0UL, from % 16);
        var words = (ulong[])[ss, rsp, rflags, cs, rip];
        for (var i = 0; i < words.Length; i++)
            state.SetWord(from - (8 * ((ulong)i + 1)), words[i]);
        this[Rsp] = from - 40;
    }

    private ulong At(ulong label)
    {
        this[Rip] = state.Program.CodeStart + label;
        return label;
    }

    private static void Exhaust(IEnumerable<ulong> walk)
    {
        foreach (var _ in walk)
        {
            // Only the state at the end is asked for.
        }
    }
}
