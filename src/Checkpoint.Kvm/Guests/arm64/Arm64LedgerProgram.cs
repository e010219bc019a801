using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Ledger"/> for AArch64; arm64/ledger.S says what its registers are.</summary>
internal sealed class Arm64LedgerProgram : Arm64GuestProgram
{
    private const int FirstHand = 19;
    private const int Hands = 4;
    private const int AtomicShift = 20; // ID_AA64ISAR0_EL1.Atomic
    private const ulong AtomicLse = 2;

    private static readonly StepFunction s_random = StepFunction.Guest;

    private readonly LedgerShape _shape;

    public Arm64LedgerProgram(GuestOptions options)
        : base(options) => _shape = LedgerShape.Of(this);

    public override GuestKind Kind => GuestKind.Ledger;

    public override ulong LoopStart => CodeAddress + Arm64LedgerCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + Arm64LedgerCode.LoopEnd;

    public override ulong UsedMemoryBytes => FirstFreePage + _shape.SharedBytes;

    private protected override ReadOnlySpan<byte> Code => Arm64LedgerCode.Bytes;

    /// <exception cref="NotSupportedException">The processor has no SWPAL.</exception>
    internal override void Enter(IVcpu vcpu, int index)
    {
        // Without it the guest would run into an undefined instruction and never take a step.
        Span<byte> features = stackalloc byte[sizeof(ulong)];
        vcpu.GetOneReg(Arm64SystemRegisters.IdOf("ID_AA64ISAR0_EL1"), features);
        if (((BinaryPrimitives.ReadUInt64LittleEndian(features) >> AtomicShift) & 0xf) < AtomicLse)
            throw new NotSupportedException("This processor lacks the atomic instructions of Armv8.1 (FEAT_LSE), which the ledger needs; run the counter.");
        base.Enter(vcpu, index);
    }

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write) =>
        _shape.LoadTokens(Options.Seed, FirstFreePage, write);

    private protected override IEnumerable<(int Number, ulong Value)> EntryRegisters(int vcpu) =>
    [
        (0, s_random.Start(Options.Seed, vcpu)),
        (1, s_random.Multiplier),
        (4, OwnPage(vcpu)),
        (5, FirstFreePage),
        (6, _shape.SlotMask),
        (7, s_random.Increment),
        (10, _shape.ExitEvery - 1),
        (11, SequenceDevice.Address),
    ];

    private protected override GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<Arm64GuestRegisters> vcpus, SequenceDevice device)
    {
        List<string> failures = [];
        var steps = new ulong[vcpus.Count];
        var raised = 0UL;
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            var findings = new Findings(vcpu, failures);
            var found = vcpus[vcpu];
            CheckConstants(
                findings, found, (1, "multiplier"), (4, "own page"), (5, "first page of the slots"), (6, "slot mask"),
                (7, "increment"), (10, "exit mask"), (11, "device"));
            steps[vcpu] = found.X[2];
            if (CheckPlace(findings, found, read, Arm64LedgerCode.PageOfError))
            {
                steps[vcpu] = CheckStep(findings, found, read, device[vcpu]);
            }

            // The token in the hand has its hop, but x3 does not count it yet.
            raised += found.X[3] + (IsHopUncounted(found.Pc - CodeAddress) ? 1UL : 0);
        }

        var census = new LedgerCensus(Options.Seed, _shape.TokenCount);
        CountTokens(census, read, vcpus);
        failures.AddRange(census.Failures(raised));
        return new GuestVerdict(steps, census.TokenHops, failures);
    }

    private static bool IsHopUncounted(ulong offset) => offset is
        Arm64LedgerCode.HopRaised19 or Arm64LedgerCode.HopRaised20 or Arm64LedgerCode.HopRaised21
        or (>= Arm64LedgerCode.HopRaised and < Arm64LedgerCode.HopCounted);

    /// <summary>
    /// The rule of ledger.S: a counter is one step ahead of the completed steps exactly when pc has reached its label. Steps in
    /// x2 are the reference; the rest, but for the hops, follows from them and pc.
    /// </summary>
    private ulong CheckStep(Findings findings, Arm64GuestRegisters found, ReadGuestMemory read, SequenceCounters device)
    {
        var offset = found.Pc - CodeAddress;
        var completed = found.X[2] - (offset >= Arm64LedgerCode.StepCounted ? 1UL : 0);
        ulong Steps(ulong label) => completed + (offset >= label ? 1UL : 0);

        var page = OwnPage(findings.Vcpu);
        findings.Equal(
            "x0 (random number)",
            s_random.Jump(s_random.Start(Options.Seed, findings.Vcpu), Steps(Arm64LedgerCode.RandomDrawn)),
            found.X[0]);
        findings.Equal("steps in memory", Steps(Arm64LedgerCode.StepStored), Word(read, page + Arm64LedgerCode.PageOfSteps));
        findings.Equal("error in memory", 0, Word(read, page + Arm64LedgerCode.PageOfError));

        var isHopStored = offset is < Arm64LedgerCode.HopCounted or >= Arm64LedgerCode.HopStored;
        findings.Equal("hops in memory", found.X[3] - (isHopStored ? 0UL : 1), Word(read, page + Arm64LedgerCode.PageOfHops));

        var begun = Steps(Arm64LedgerCode.StepCounted);
        var isDueNow = offset >= Arm64LedgerCode.StepCounted && begun % _shape.ExitEvery == 0;
        var sequence = new SequenceCheck(begun / _shape.ExitEvery, isDueNow, offset);
        findings.Equal("x8 (numbers taken)", sequence.At(Arm64LedgerCode.SequenceCounted), found.X[8]);
        findings.Equal(
            "numbers taken in memory", sequence.At(Arm64LedgerCode.SequenceStored), Word(read, page + Arm64LedgerCode.PageOfCount));
        sequence.Check(findings, device, Arm64LedgerCode.SequenceTaken, Arm64LedgerCode.SequenceCounted, Arm64LedgerCode.Reported);
        return completed;
    }

    private void CountTokens(LedgerCensus census, ReadGuestMemory read, IReadOnlyList<Arm64GuestRegisters> vcpus)
    {
        _shape.CountSlots(census, read, FirstFreePage);
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            for (var hand = FirstHand; hand < FirstHand + Hands; hand++)
                census.Count(vcpus[vcpu].X[hand], $"x{hand} of vCPU {vcpu}");
        }
    }
}
