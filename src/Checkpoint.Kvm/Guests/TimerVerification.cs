namespace Checkpoint.Kvm.Guests;

/// <summary>Verifies one vCPU of the timer guest; the rules are those of timer.S.</summary>
internal sealed class TimerVerification(TimerProgram program, Findings findings, GuestRegisters registers, ReadGuestMemory read)
{
    private const ulong Code = GuestProgram.CodeAddress;

    private static readonly StepFunction _step = StepFunction.Guest;

    private readonly int _vcpu = findings.Vcpu;
    private readonly GeneralRegisters _general = registers.General;
    private readonly ulong _page = program.OwnPage(findings.Vcpu);

    /// <summary>Compares everything.</summary>
    /// <param name="device">What the sequence device knows of the vCPU.</param>
    /// <returns>The completed steps; null if the vCPU is not where it can be, so that the rules of a step would mean nothing.</returns>
    public ulong? Check(SequenceCounters device)
    {
        CheckConstants();
        if (FindPlace() is not { } place)
            return null;
        var steps = CheckStep(place);
        CheckTicks(place, device);
        var timer = new TimerStateCheck(program, findings, registers.State, read);
        timer.CheckDebugRegisters(place);
        timer.CheckTimer(place);
        return steps;
    }

    /// <summary>Registers that only the start writes. Some differ by vCPU, so a vCPU with another's registers is found.</summary>
    private void CheckConstants()
    {
        var expected = program.InitialRegisters(_vcpu);
        findings.Equal("rsi (multiplier)", expected.Rsi, _general.Rsi);
        findings.Equal("r8 (increment)", expected.R8, _general.R8);
        findings.Equal("rdi (own page)", expected.Rdi, _general.Rdi);
        findings.Equal("r9 (working area)", expected.R9, _general.R9);
        findings.Equal("r10 (length of the working area)", expected.R10, _general.R10);
        findings.Equal("r12 (mark)", expected.R12, _general.R12);
        findings.Equal("r13 (walk mask)", expected.R13, _general.R13);
        findings.Equal("r14 (mark)", expected.R14, _general.R14);
        findings.Equal("r15 (width of the vectors)", expected.R15, _general.R15);
    }

    private TimerPlace? FindPlace()
    {
        var end = Code + TimerCode.CodeEnd;
        if (_general.Rip < Code || _general.Rip >= end)
        {
            findings.Add($"rip expected in the code from 0x{Code:x} to 0x{end:x}, found 0x{_general.Rip:x}");
            return null;
        }

        var frame = program.StackTop(_vcpu) - TimerPlace.FrameBytes;
        if (TimerPlace.Find(_general.Rip - Code, () => unchecked(Word(frame + TimerPlace.FrameRip) - Code)) is not { } place)
        {
            findings.Add(
                $"stopped at a wrong number from the sequence port: expected {Word(_page + TimerCode.PageOfExpected)}, found {Word(_page + TimerCode.PageOfFound)}");
            return null;
        }

        var initial = program.InitialRegisters(_vcpu);
        var atCpl0 = initial.Rflags & ~TimerProgram.InterruptFlag; // An interrupt gate switches interrupts off.
        findings.Equal("rflags without the arithmetic flags", place.Timer is null ? initial.Rflags : atCpl0, TimerProgram.WithoutArithmetic(_general.Rflags));
        CheckStack(place, initial.Rsp);
        if (place.Timer is null)
            return place;

        if (place.Loop >= TimerCode.LoopEnd)
        {
            findings.Add($"the interrupted rip expected in the loop below 0x{Code + TimerCode.LoopEnd:x}, found 0x{Word(frame + TimerPlace.FrameRip):x}");
            return null;
        }

        CheckFrame("interrupt", frame, GuestSegment.UserCode.Selector, initial.Rflags, initial.Rsp, GuestSegment.UserData.Selector);
        if (place.Trap is { } trap)
        {
            var trapFrame = program.StackTop(_vcpu) - TimerPlace.DepthOfTrapFrame;
            CheckFrame("trap", trapFrame, TimerTables.KernelCode, atCpl0, program.StackTop(_vcpu) - TimerPlace.DepthAtBreakpoint, 0);
            var after = trap >= TimerCode.TrapPassed ? TimerCode.BreakpointPassed : TimerCode.Breakpoint;
            findings.Equal("rip in the trap's frame", Code + after, Word(trapFrame + TimerPlace.FrameRip));
        }

        return place;
    }

    /// <summary>rsp in the loop is a mark; a handler keeps it between its frame and what it pushes at most.</summary>
    private void CheckStack(TimerPlace place, ulong mark)
    {
        var (highest, pushed) = place switch
        {
            { Trap: not null } => (program.StackTop(_vcpu) - TimerPlace.DepthOfTrapFrame, 1UL),
            { Timer: not null } => (program.StackTop(_vcpu) - TimerPlace.FrameBytes, 3UL),
            _ => (mark, 0UL),
        };
        var lowest = highest - (pushed * sizeof(ulong));
        if (_general.Rsp < lowest || _general.Rsp > highest || _general.Rsp % sizeof(ulong) != 0)
            findings.Add($"rsp expected from 0x{lowest:x} to 0x{highest:x}, found 0x{_general.Rsp:x}");
    }

    private void CheckFrame(string name, ulong frame, ulong cs, ulong rflags, ulong rsp, ulong ss)
    {
        findings.Equal($"cs in the {name}'s frame", cs, Word(frame + TimerPlace.FrameCs));
        findings.Equal($"rflags in the {name}'s frame without the arithmetic flags", rflags, TimerProgram.WithoutArithmetic(Word(frame + TimerPlace.FrameRflags)));
        findings.Equal($"rsp in the {name}'s frame", rsp, Word(frame + TimerPlace.FrameRsp));
        findings.Equal($"ss in the {name}'s frame", ss, Word(frame + TimerPlace.FrameSs));
    }

    /// <summary>n in rbp is the reference; every other carrier follows from it and from rip of the loop.</summary>
    private ulong CheckStep(TimerPlace place)
    {
        var completed = _general.Rbp - (place.HasStepped(TimerCode.NInRegister) ? 1UL : 0);
        ulong N(ulong label) => completed + (place.HasStepped(label) ? 1UL : 0);
        ulong X(ulong label) => _step.Jump(program.InitialX(_vcpu), N(label));

        findings.Equal("rbx (x)", X(TimerCode.XInRegister), _general.Rbx);
        findings.Equal("x in memory", X(TimerCode.XInMemory), Word(_page + TimerCode.PageOfX));
        findings.Equal("n in memory", N(TimerCode.NInMemory), Word(_page + TimerCode.PageOfN));
        findings.Equal("error in memory", 0, Word(_page + TimerCode.PageOfError));
        if (place.Loop < TimerCode.LoopStart)
        {
            findings.Equal("rbp (n) before the first step", 0, _general.Rbp); // x87 and vectors are not yet set up.
        }
        else
        {
            var view = new XsaveView(registers.Xsave.Span, program.Xsave);
            if (view.HasLegacyRegisters)
            {
                findings.Equal("st(0) (n)", N(TimerCode.NInX87), view.WholeNumberInSt(0), "no whole number");
                findings.Equal("st(1) (one)", 1, view.WholeNumberInSt(1), "no whole number");
            }

            var options = program.Options;
            var vector = options.UseZmm ? TimerCode.NInZmm : options.UseYmm ? TimerCode.NInYmm : TimerCode.NInXmm;
            new TimerVectors(options, _vcpu).Check(findings, view, N(vector), N(TimerCode.NInHighZmm), N(TimerCode.NInMask));
        }

        CheckWorkingPages(place, N(TimerCode.NInRegister));
        return completed;
    }

    /// <summary>Each write goes to the next page and leaves n there, so page and content follow from n.</summary>
    private void CheckWorkingPages(TimerPlace place, ulong begun)
    {
        var shape = program.Shape;
        var isDueNow = place.HasStepped(TimerCode.NInRegister) && begun % shape.WriteEvery == 0;
        ulong Writes(ulong label) => (begun / shape.WriteEvery) - (isDueNow && !place.HasStepped(label) ? 1UL : 0);

        findings.Equal("r11 (offset of the next page)", Writes(TimerCode.PageAdvanced) % shape.WorkingPages * PageTables.PageBytes, _general.R11);
        shape.CheckPages(findings, read, program.WorkingArea(_vcpu), Writes(TimerCode.PageWritten));
    }

    /// <summary>Each tick meets the breakpoint once and takes one number from the device: both follow from the ticks and the place in the handler.</summary>
    private void CheckTicks(TimerPlace place, SequenceCounters device)
    {
        var handled = Word(_page + TimerCode.PageOfTicks) - (place.HasPassed(TimerCode.TickCounted) ? 1UL : 0);
        findings.Equal("traps of the breakpoint", handled + (place.HasCountedTrap ? 1UL : 0), Word(_page + TimerCode.PageOfTraps));
        var isTicking = place.Timer is not null;
        new SequenceCheck(handled + (isTicking ? 1UL : 0), isTicking, place.Timer ?? 0)
            .Check(findings, device, TimerCode.TickTaken, TimerCode.TickCounted, TimerCode.Reported);
    }

    private ulong Word(ulong address) => GuestProgram.Word(read, address);
}
