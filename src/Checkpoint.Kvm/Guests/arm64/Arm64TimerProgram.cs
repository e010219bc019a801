using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Timer"/> for AArch64; arm64/timer.S says what its registers are.</summary>
internal sealed class Arm64TimerProgram(GuestOptions options) : Arm64GuestProgram(options)
{
    private const ulong RedistributorBytes = 0x2_0000;
    private const ulong CounterTicks = 1 << 18; // From one tick to the next: 4 ms at 62.5 MHz.
    private const ulong InterruptsMasked = 1 << 7; // PSTATE.I
    private const ulong ConditionFlags = 0xf000_0000;

    private static readonly StepFunction s_step = StepFunction.Guest;

    public override GuestKind Kind => GuestKind.Timer;

    public override ulong LoopStart => CodeAddress + Arm64TimerCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + Arm64TimerCode.LoopEnd;

    public override ulong UsedMemoryBytes => FirstFreePage;

    /// <summary>The GICv3 that these guests' machines have, in the block that is mapped as devices.</summary>
    internal static GicDescription Gic { get; } = new(Arm64PageTable.DeviceBlock + 0x0800_0000, Arm64PageTable.DeviceBlock + 0x0a00_0000, 96);

    private protected override ReadOnlySpan<byte> Code => Arm64TimerCode.Bytes;

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
        {
            // x(0), so that memory agrees with the registers before the first step as well.
            write(OwnPage(vcpu) + Arm64TimerCode.PageOfX, Words(s_step.Start(Options.Seed, vcpu)));
        }
    }

    private protected override IEnumerable<(int Number, ulong Value)> EntryRegisters(int vcpu) =>
    [
        (0, s_step.Start(Options.Seed, vcpu)),
        (1, s_step.Multiplier),
        (2, s_step.Increment),
        (4, OwnPage(vcpu)),
        (9, Gic.DistributorAddress),
        (10, Gic.RedistributorAddress + ((ulong)vcpu * RedistributorBytes)),
        (11, SequenceDevice.Address),
        (21, CounterTicks),
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
                findings, found, (1, "multiplier"), (2, "increment"), (4, "own page"), (9, "distributor"), (10, "redistributor"),
                (11, "device"), (21, "ticks of the counter"));
            steps[vcpu] = found.X[3];
            var handler = found.Pc - CodeAddress;
            var isInHandler = handler is >= Arm64TimerCode.Interrupted and < Arm64TimerCode.InterruptEnd;
            var loop = isInHandler ? found.ElrEl1 : found.Pc;
            CheckMode(findings, found, isInHandler);
            if (!CheckPlace(findings, isInHandler ? "elr_el1" : "pc", loop, read, Arm64TimerCode.PageOfError))
                continue;
            steps[vcpu] = CheckStep(findings, found, read, loop - CodeAddress);
            CheckTick(findings, found, read, device[vcpu], isInHandler ? handler : 0);
        }

        return new GuestVerdict(steps, [], failures) { Ticks = [.. vcpus.Select(found => found.X[20])] };
    }

    // Interrupts are masked before the loop and in the handler, as the processor does it.
    private static void CheckMode(Findings findings, Arm64GuestRegisters found, bool isInHandler)
    {
        var isMasked = isInHandler || found.Pc < CodeAddress + Arm64TimerCode.Interruptible;
        findings.Equal(
            "pstate without the condition flags", isMasked ? InitialPstate : InitialPstate & ~InterruptsMasked, found.Pstate & ~ConditionFlags);
    }

    // The rule of counter.S, with the pc of the loop.
    private ulong CheckStep(Findings findings, Arm64GuestRegisters found, ReadGuestMemory read, ulong offset)
    {
        var completed = found.X[3] - (offset >= Arm64TimerCode.NInRegister ? 1UL : 0);
        ulong N(ulong label) => completed + (offset >= label ? 1UL : 0);

        var page = OwnPage(findings.Vcpu);
        var x = s_step.Start(Options.Seed, findings.Vcpu);
        findings.Equal("x0 (x)", s_step.Jump(x, N(Arm64TimerCode.XInRegister)), found.X[0]);
        findings.Equal("x in memory", s_step.Jump(x, N(Arm64TimerCode.XInMemory)), Word(read, page + Arm64TimerCode.PageOfX));
        findings.Equal("n in memory", N(Arm64TimerCode.NInMemory), Word(read, page + Arm64TimerCode.PageOfN));
        findings.Equal("error in memory", 0, Word(read, page + Arm64TimerCode.PageOfError));
        return completed;
    }

    // The rule for ticks, with the pc of the handler; 0 outside of it, where all carriers agree.
    private void CheckTick(Findings findings, Arm64GuestRegisters found, ReadGuestMemory read, SequenceCounters device, ulong offset)
    {
        var page = OwnPage(findings.Vcpu);
        var isCounted = offset >= Arm64TimerCode.TickInRegister;
        var isStored = !isCounted || offset >= Arm64TimerCode.TickInMemory;
        findings.Equal("ticks in memory", found.X[20] - (isStored ? 0UL : 1), Word(read, page + Arm64TimerCode.PageOfTicks));
        var sequence = new SequenceCheck(found.X[20], isCounted, offset);
        findings.Equal("x8 (numbers taken)", sequence.At(Arm64TimerCode.SequenceCounted), found.X[8]);
        findings.Equal("numbers taken in memory", sequence.At(Arm64TimerCode.SequenceStored), Word(read, page + Arm64TimerCode.PageOfCount));
        sequence.Check(findings, device, Arm64TimerCode.SequenceTaken, Arm64TimerCode.SequenceCounted, Arm64TimerCode.Reported);
    }
}
