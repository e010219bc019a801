namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Counter"/>; counter.S says what its registers are.</summary>
internal sealed class CounterProgram : X64GuestProgram
{
    private static readonly StepFunction _step = StepFunction.Guest;

    private readonly CounterShape _shape;

    public CounterProgram(GuestOptions options)
        : base(options) => _shape = CounterShape.Of(this);

    public override GuestKind Kind => GuestKind.Counter;

    public override ulong LoopStart => CodeAddress + CounterCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + CounterCode.LoopEnd;

    public override ulong UsedMemoryBytes => WorkingArea(Options.Vcpus);

    internal ulong ExitEvery => _shape.ExitEvery;

    internal ulong WriteEvery => _shape.WriteEvery;

    internal ulong WorkingPages => _shape.WorkingPages;

    private protected override ReadOnlySpan<byte> Code => CounterCode.Bytes;

    private protected override bool NeedsAvx => Options.UseYmm;

    internal ulong WorkingArea(int vcpu) => FirstFreePage + ((ulong)vcpu * WorkingPages * PageBytes);

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
        {
            // x(0), so that memory agrees with the registers before the first step as well.
            write(OwnPage(vcpu) + CounterCode.PageOfX, Words(_step.Start(Options.Seed, vcpu)));
        }
    }

    private protected override GeneralRegisters EntryRegisters(int vcpu) => new()
    {
        Rbx = _step.Start(Options.Seed, vcpu),
        Rsi = _step.Multiplier,
        R8 = _step.Increment,
        Rdi = OwnPage(vcpu),
        R9 = WorkingArea(vcpu),
        R10 = WorkingPages * PageBytes,
        R13 = WriteEvery - 1,
        R14 = ExitEvery - 1,
        R15 = Options.UseYmm ? 1UL : 0,
        Rip = CodeAddress,
        Rflags = InitialRflags,
    };

    private protected override GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device)
    {
        List<string> failures = [];
        var steps = new ulong[vcpus.Count];
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            var findings = new Findings(vcpu, failures);
            var general = vcpus[vcpu].General;
            CheckConstants(findings, general);
            steps[vcpu] = general.Rbp;
            if (CheckPlace(findings, general, read, CounterCode.PageOfError))
            {
                steps[vcpu] = CheckStep(findings, vcpus[vcpu], read, device[vcpu]);
            }
        }

        return new GuestVerdict(steps, [], failures);
    }

    /// <summary>Registers that only the start writes. Some differ by vCPU, so a vCPU with another's registers is found.</summary>
    private void CheckConstants(Findings findings, GeneralRegisters found)
    {
        var expected = EntryRegisters(findings.Vcpu);
        findings.Equal("rsi (multiplier)", expected.Rsi, found.Rsi);
        findings.Equal("r8 (increment)", expected.R8, found.R8);
        findings.Equal("rdi (own page)", expected.Rdi, found.Rdi);
        findings.Equal("r9 (working area)", expected.R9, found.R9);
        findings.Equal("r10 (length of the working area)", expected.R10, found.R10);
        findings.Equal("r13 (walk mask)", expected.R13, found.R13);
        findings.Equal("r14 (exit mask)", expected.R14, found.R14);
        findings.Equal("r15 (width of the vectors)", expected.R15, found.R15);
    }

    /// <summary>
    /// The rule of counter.S: a carrier is one step ahead of the completed steps exactly when rip has reached its
    /// label. n in rbp is the reference; everything else follows from it and rip.
    /// </summary>
    private ulong CheckStep(Findings findings, GuestRegisters vcpu, ReadGuestMemory read, SequenceCounters device)
    {
        var general = vcpu.General;
        var offset = general.Rip - CodeAddress;
        var completed = general.Rbp - (offset >= CounterCode.NInRegister ? 1UL : 0);
        ulong N(ulong label) => completed + (offset >= label ? 1UL : 0);
        ulong X(ulong label) => _step.Jump(_step.Start(Options.Seed, findings.Vcpu), N(label));

        var page = OwnPage(findings.Vcpu);
        findings.Equal("rbx (x)", X(CounterCode.XInRegister), general.Rbx);
        findings.Equal("x in memory", X(CounterCode.XInMemory), Word(read, page + CounterCode.PageOfX));
        findings.Equal("n in memory", N(CounterCode.NInMemory), Word(read, page + CounterCode.PageOfN));
        findings.Equal("error in memory", 0, Word(read, page + CounterCode.PageOfError));
        if (offset < CounterCode.LoopStart)
        {
            findings.Equal("rbp (n) before the first step", 0, general.Rbp); // x87 and vectors are not yet set up.
        }
        else
        {
            var view = new XsaveView(vcpu.Xsave.Span);
            CheckX87(findings, view, N(CounterCode.NInX87));
            CheckVectors(findings, view, N(Options.UseYmm ? CounterCode.NInYmm : CounterCode.NInXmm));
        }

        var begun = N(CounterCode.NInRegister);
        CheckWorkingPages(findings, general, read, begun);
        var isDueNow = offset >= CounterCode.NInRegister && begun % ExitEvery == 0;
        var sequence = new SequenceCheck(begun / ExitEvery, isDueNow, offset);
        findings.Equal("r12 (numbers taken)", sequence.At(CounterCode.SequenceCounted), general.R12);
        findings.Equal(
            "numbers taken in memory",
            sequence.At(CounterCode.SequenceStored),
            Word(read, page + CounterCode.PageOfCount));
        sequence.Check(
            findings, device, CounterCode.SequenceTaken, CounterCode.SequenceCounted, CounterCode.Reported);
        return completed;
    }

    private static void CheckX87(Findings findings, XsaveView view, ulong n)
    {
        if (!view.HasLegacyRegisters)
        {
            findings.Add("the XSAVE area is too short to hold x87 and vector registers");
            return;
        }

        findings.Equal("st(0) (n)", n, view.WholeNumberInSt(0), "no whole number");
        findings.Equal("st(1) (one)", 1, view.WholeNumberInSt(1), "no whole number");
    }

    private void CheckVectors(Findings findings, XsaveView view, ulong n)
    {
        if (!view.HasLegacyRegisters || (Options.UseYmm && !view.HasHighHalves))
        {
            findings.Add("the XSAVE area is too short to hold the vector registers in use");
            return;
        }

        for (var lane = 0; lane < (Options.UseYmm ? 4 : 2); lane++)
        {
            var name = Options.UseYmm ? "ymm" : "xmm";
            findings.Equal($"{name}15 lane {lane} (n)", n, view.Lane(15, lane));
            findings.Equal($"{name}14 lane {lane} (one)", 1, view.Lane(14, lane));
        }
    }

    /// <summary>Each write goes to the next page and leaves n there, so page and content follow from n.</summary>
    private void CheckWorkingPages(Findings findings, GeneralRegisters general, ReadGuestMemory read, ulong begun)
    {
        var offset = general.Rip - CodeAddress;
        var isDueNow = offset >= CounterCode.NInRegister && begun % WriteEvery == 0;
        ulong Writes(ulong label) => (begun / WriteEvery) - (isDueNow && offset < label ? 1UL : 0);

        findings.Equal(
            "r11 (offset of the next page)",
            Writes(CounterCode.PageAdvanced) % WorkingPages * PageBytes,
            general.R11);

        _shape.CheckPages(findings, read, WorkingArea(findings.Vcpu), Writes(CounterCode.PageWritten));
    }
}
