namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Counter"/> for AArch64; arm64/counter.S says what its registers are.</summary>
internal sealed class Arm64CounterProgram : Arm64GuestProgram
{
    private static readonly StepFunction s_step = StepFunction.Guest;

    private readonly CounterShape _shape;

    public Arm64CounterProgram(GuestOptions options)
        : base(options) => _shape = CounterShape.Of(this);

    public override GuestKind Kind => GuestKind.Counter;

    public override ulong LoopStart => CodeAddress + Arm64CounterCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + Arm64CounterCode.LoopEnd;

    public override ulong UsedMemoryBytes => WorkingArea(Options.Vcpus);

    private protected override ReadOnlySpan<byte> Code => Arm64CounterCode.Bytes;

    internal ulong WorkingArea(int vcpu) => FirstFreePage + ((ulong)vcpu * _shape.WorkingPages * PageBytes);

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
        {
            // x(0), so that memory agrees with the registers before the first step as well.
            write(OwnPage(vcpu) + Arm64CounterCode.PageOfX, Words(s_step.Start(Options.Seed, vcpu)));
        }
    }

    private protected override IEnumerable<(int Number, ulong Value)> EntryRegisters(int vcpu) =>
    [
        (0, s_step.Start(Options.Seed, vcpu)),
        (1, s_step.Multiplier),
        (2, s_step.Increment),
        (4, OwnPage(vcpu)),
        (5, WorkingArea(vcpu)),
        (6, _shape.WorkingPages * PageBytes),
        (9, _shape.WriteEvery - 1),
        (10, _shape.ExitEvery - 1),
        (11, SequenceDevice.Address),
    ];

    private protected override GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<Arm64GuestRegisters> vcpus, SequenceDevice device)
    {
        List<string> failures = [];
        var steps = new ulong[vcpus.Count];
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            var findings = new Findings(vcpu, failures);
            var found = vcpus[vcpu];
            CheckConstants(
                findings, found, (1, "multiplier"), (2, "increment"), (4, "own page"), (5, "working area"),
                (6, "length of the working area"), (9, "walk mask"), (10, "exit mask"), (11, "device"));
            steps[vcpu] = found.X[3];
            if (CheckPlace(findings, found, read, Arm64CounterCode.PageOfError))
            {
                steps[vcpu] = CheckStep(findings, found, read, device[vcpu]);
            }
        }

        return new GuestVerdict(steps, [], failures);
    }

    /// <summary>
    /// The rule of counter.S: a carrier is one step ahead of the completed steps exactly when pc has reached its label. n in
    /// x3 is the reference; everything else follows from it and pc.
    /// </summary>
    private ulong CheckStep(Findings findings, Arm64GuestRegisters found, ReadGuestMemory read, SequenceCounters device)
    {
        var offset = found.Pc - CodeAddress;
        var completed = found.X[3] - (offset >= Arm64CounterCode.NInRegister ? 1UL : 0);
        ulong N(ulong label) => completed + (offset >= label ? 1UL : 0);

        var page = OwnPage(findings.Vcpu);
        var x = s_step.Start(Options.Seed, findings.Vcpu);
        findings.Equal("x0 (x)", s_step.Jump(x, N(Arm64CounterCode.XInRegister)), found.X[0]);
        findings.Equal("x in memory", s_step.Jump(x, N(Arm64CounterCode.XInMemory)), Word(read, page + Arm64CounterCode.PageOfX));
        findings.Equal("n in memory", N(Arm64CounterCode.NInMemory), Word(read, page + Arm64CounterCode.PageOfN));
        findings.Equal("error in memory", 0, Word(read, page + Arm64CounterCode.PageOfError));
        if (offset < Arm64CounterCode.LoopStart)
        {
            findings.Equal("x3 (n) before the first step", 0, found.X[3]); // The vectors are not yet set up.
        }
        else
        {
            CheckVectors(findings, found, N(Arm64CounterCode.NInVector));
        }

        var begun = N(Arm64CounterCode.NInRegister);
        CheckPages(findings, found, read, begun);
        var isDueNow = offset >= Arm64CounterCode.NInRegister && begun % _shape.ExitEvery == 0;
        var sequence = new SequenceCheck(begun / _shape.ExitEvery, isDueNow, offset);
        findings.Equal("x8 (numbers taken)", sequence.At(Arm64CounterCode.SequenceCounted), found.X[8]);
        findings.Equal(
            "numbers taken in memory", sequence.At(Arm64CounterCode.SequenceStored), Word(read, page + Arm64CounterCode.PageOfCount));
        sequence.Check(
            findings, device, Arm64CounterCode.SequenceTaken, Arm64CounterCode.SequenceCounted, Arm64CounterCode.Reported);
        return completed;
    }

    private static void CheckVectors(Findings findings, Arm64GuestRegisters found, ulong n)
    {
        for (var lane = 0; lane < 2; lane++)
        {
            findings.Equal($"v15 lane {lane} (n)", n, found.Lane(15, lane), "no such register in the state");
            findings.Equal($"v14 lane {lane} (one)", 1, found.Lane(14, lane), "no such register in the state");
        }
    }

    private void CheckPages(Findings findings, Arm64GuestRegisters found, ReadGuestMemory read, ulong begun)
    {
        var offset = found.Pc - CodeAddress;
        var isDueNow = offset >= Arm64CounterCode.NInRegister && begun % _shape.WriteEvery == 0;
        ulong Writes(ulong label) => (begun / _shape.WriteEvery) - (isDueNow && offset < label ? 1UL : 0);

        findings.Equal(
            "x7 (offset of the next page)", Writes(Arm64CounterCode.PageAdvanced) % _shape.WorkingPages * PageBytes, found.X[7]);
        _shape.CheckPages(findings, read, WorkingArea(findings.Vcpu), Writes(Arm64CounterCode.PageWritten));
    }
}
