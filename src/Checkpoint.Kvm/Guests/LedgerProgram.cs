namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Ledger"/>; ledger.S says what its registers are.</summary>
internal sealed class LedgerProgram : X64GuestProgram
{
    private static readonly StepFunction _random = StepFunction.Guest;

    private readonly LedgerShape _shape;

    public LedgerProgram(GuestOptions options)
        : base(options) => _shape = LedgerShape.Of(this);

    public override GuestKind Kind => GuestKind.Ledger;

    public override ulong LoopStart => CodeAddress + LedgerCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + LedgerCode.LoopEnd;

    public override ulong UsedMemoryBytes => FirstFreePage + _shape.SharedBytes;

    internal ulong ExitEvery => _shape.ExitEvery;

    internal int SlotCount => _shape.SlotCount;

    internal int TokenCount => _shape.TokenCount;

    private protected override ReadOnlySpan<byte> Code => LedgerCode.Bytes;

    internal ulong SlotAddress(int slot) => FirstFreePage + _shape.SlotOffset(slot);

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
        {
            write(OwnPage(vcpu) + LedgerCode.PageOfMultiplier, Words(_random.Multiplier, _random.Increment));
        }

        _shape.LoadTokens(Options.Seed, FirstFreePage, write);
    }

    private protected override GeneralRegisters EntryRegisters(int vcpu) => new()
    {
        R8 = _random.Start(Options.Seed, vcpu),
        Rdi = OwnPage(vcpu),
        R9 = FirstFreePage,
        R10 = _shape.SlotMask,
        R11 = ExitEvery - 1,
        Rip = CodeAddress,
        Rflags = InitialRflags,
    };

    private protected override GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device)
    {
        List<string> failures = [];
        var steps = new ulong[vcpus.Count];
        var raised = 0UL;
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            var findings = new Findings(vcpu, failures);
            var general = vcpus[vcpu].General;
            var offset = general.Rip - CodeAddress;
            CheckConstants(findings, general);
            steps[vcpu] = general.Rsi;
            if (CheckPlace(findings, general, read, LedgerCode.PageOfError))
            {
                steps[vcpu] = CheckStep(findings, general, read, device[vcpu]);
            }

            // The token in the hand has its hop, but rbp does not count it yet.
            raised += general.Rbp + (offset is >= LedgerCode.HopRaised and < LedgerCode.HopCounted ? 1UL : 0);
        }

        var census = new LedgerCensus(Options.Seed, TokenCount);
        CountTokens(census, read, vcpus);
        failures.AddRange(census.Failures(raised));
        return new GuestVerdict(steps, census.TokenHops, failures);
    }

    /// <summary>Registers that only the start writes.</summary>
    private void CheckConstants(Findings findings, GeneralRegisters found)
    {
        var expected = EntryRegisters(findings.Vcpu);
        findings.Equal("rdi (own page)", expected.Rdi, found.Rdi);
        findings.Equal("r9 (first page of the slots)", expected.R9, found.R9);
        findings.Equal("r10 (slot mask)", expected.R10, found.R10);
        findings.Equal("r11 (exit mask)", expected.R11, found.R11);
    }

    /// <summary>
    /// The rule of ledger.S: a counter is one step ahead of the completed steps exactly when rip has reached its label.
    /// Steps in rsi are the reference; the rest, but for the hops, follows from them and rip.
    /// </summary>
    private ulong CheckStep(
        Findings findings, GeneralRegisters general, ReadGuestMemory read, SequenceCounters device)
    {
        var offset = general.Rip - CodeAddress;
        var completed = general.Rsi - (offset >= LedgerCode.StepCounted ? 1UL : 0);
        ulong Steps(ulong label) => completed + (offset >= label ? 1UL : 0);

        var page = OwnPage(findings.Vcpu);
        findings.Equal(
            "r8 (random number)",
            _random.Jump(_random.Start(Options.Seed, findings.Vcpu), Steps(LedgerCode.RandomDrawn)),
            general.R8);
        findings.Equal("steps in memory", Steps(LedgerCode.StepStored), Word(read, page + LedgerCode.PageOfSteps));
        findings.Equal("error in memory", 0, Word(read, page + LedgerCode.PageOfError));

        var isHopStored = offset is < LedgerCode.HopCounted or >= LedgerCode.HopStored;
        findings.Equal(
            "hops in memory", general.Rbp - (isHopStored ? 0UL : 1), Word(read, page + LedgerCode.PageOfHops));

        var begun = Steps(LedgerCode.StepCounted);
        var isDueNow = offset >= LedgerCode.StepCounted && begun % ExitEvery == 0;
        var sequence = new SequenceCheck(begun / ExitEvery, isDueNow, offset);
        findings.Equal(
            "numbers taken in memory",
            sequence.At(LedgerCode.SequenceCounted),
            Word(read, page + LedgerCode.PageOfCount));
        sequence.Check(findings, device, LedgerCode.SequenceTaken, LedgerCode.SequenceCounted, LedgerCode.Reported);
        return completed;
    }

    private void CountTokens(LedgerCensus census, ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus)
    {
        _shape.CountSlots(census, read, FirstFreePage);
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            var general = vcpus[vcpu].General;
            census.Count(general.Rbx, $"rbx of vCPU {vcpu}");
            census.Count(general.R12, $"r12 of vCPU {vcpu}");
            census.Count(general.R13, $"r13 of vCPU {vcpu}");
            census.Count(general.R14, $"r14 of vCPU {vcpu}");
            census.Count(general.R15, $"r15 of vCPU {vcpu}");
        }
    }
}
