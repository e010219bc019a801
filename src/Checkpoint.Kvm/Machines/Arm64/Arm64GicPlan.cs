using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>
/// Which registers make up a GICv3's state, and the order in which they are set. While the vCPUs are parked nothing moves, so
/// the order of a save does not matter.
/// </summary>
internal sealed class Arm64GicPlan
{
    private const uint InterruptsPerWord = 32;
    private const uint MostInterrupts = 992; // VGIC_MAX_RESERVED is 1023, and the number is a multiple of 32.
    private const uint LeastInterrupts = 2 * InterruptsPerWord;

    private readonly ulong[] _affinities;

    /// <param name="interrupts">How many interrupts there are.</param>
    /// <param name="affinities">For each vCPU the upper half of its attributes.</param>
    /// <param name="priorityBits">How many bits a priority has.</param>
    public Arm64GicPlan(uint interrupts, ulong[] affinities, int priorityBits)
    {
        if (interrupts < LeastInterrupts || interrupts > MostInterrupts || interrupts % InterruptsPerWord != 0)
            throw new ArgumentOutOfRangeException(nameof(interrupts), interrupts, "A GICv3 has 64 to 992 interrupts, a multiple of 32.");
        _affinities = affinities;
        var steps = new List<Step>();
        AddDistributor(steps, interrupts);
        for (var vcpu = 0; vcpu < affinities.Length; vcpu++)
            AddRedistributor(steps, vcpu);
        for (var vcpu = 0; vcpu < affinities.Length; vcpu++)
            AddInterface(steps, vcpu, priorityBits);
        RestoreSteps = [.. steps.Where(step => !step.IsReadOnly)];
        Registers = [.. steps.Select(step => step.Saved).Distinct().OrderBy(register => register.Id)];
        Attributes = [.. Registers.Select(AttributeOf)];
    }

    /// <summary>What is saved, in ascending order of ids.</summary>
    public ImmutableArray<GicRegister> Registers { get; }

    /// <summary>For each of <see cref="Registers"/> its attribute.</summary>
    public ImmutableArray<ulong> Attributes { get; }

    /// <summary>What is set, in order.</summary>
    public ImmutableArray<Step> RestoreSteps { get; }

    /// <summary>A register's attribute: the vCPU's affinity above, the offset below.</summary>
    public ulong AttributeOf(GicRegister register) =>
        register.Part == GicPart.Distributor || _affinities.Length == 0 ? register.Offset : _affinities[register.Vcpu] | register.Offset;

    private static void AddDistributor(List<Step> steps, uint interrupts)
    {
        // First of all: the kernel's revision of its own behaviour, which the others are then taken by; one that it does not know is
        // refused (arm-vgic-v3.rst, "GICD_IIDR").
        steps.Add(Step.Plain(GicRegisters.Distributor("iidr")));

        // Switched on before anything can be pending: an interrupt is put into its vCPU's queue when the last of its line, latch and
        // enable bit is written, and only while the distributor is on. Switching it on afterwards looks for none, so a timer
        // interrupt whose line was up already would never come.
        steps.Add(Step.Plain(GicRegisters.Distributor("ctlr")));
        steps.Add(Step.ReadOnly(GicRegisters.Distributor("typer")));
        steps.Add(Step.ReadOnly(GicRegisters.Distributor("typer2")));
        steps.Add(Step.Plain(GicRegisters.Distributor("statusr")));

        // What each interrupt is, before whether it is pending: a pending state is latched or follows the line by ICFGR, and
        // an interrupt is put into a vCPU's queue by its group, priority and route.
        for (var word = 1u; word < interrupts / InterruptsPerWord; word++)
            steps.Add(Distributor("igroupr", word));
        for (var word = 2u; word < interrupts / 16; word++)
            steps.Add(Distributor("icfgr", word));
        for (var word = 8u; word < interrupts / 4; word++)
            steps.Add(Distributor("ipriorityr", word));
        for (var interrupt = InterruptsPerWord; interrupt < Math.Min(interrupts, 1020); interrupt++)
        {
            steps.Add(Distributor("irouter", interrupt));
            steps.Add(Step.Plain(GicRegisters.Distributor(Numbered("irouter", interrupt) + ".hi")));
        }

        // The lines before the latches: ISPENDR through this interface is the latch alone, whatever the line (arm-vgic-v3.rst).
        for (var first = InterruptsPerWord; first < interrupts; first += InterruptsPerWord)
            steps.Add(Step.Plain(new GicRegister(GicPart.Level, 0, first)));
        foreach (var name in (string[])["ispendr", "isactiver"])
        {
            for (var word = 1u; word < interrupts / InterruptsPerWord; word++)
                steps.Add(Distributor(name, word));
        }

        // Enabled after all that: this is when what is pending is queued, with the rest in place. A set bit enables and a clear one does
        // nothing, so all are cleared first.
        for (var word = 1u; word < interrupts / InterruptsPerWord; word++)
        {
            var enabled = GicRegisters.Distributor(Numbered("isenabler", word));
            steps.Add(Step.Clear(enabled, GicRegisters.Distributor(Numbered("icenabler", word))));
            steps.Add(Step.Plain(enabled));
        }
    }

    private static void AddRedistributor(List<Step> steps, int vcpu)
    {
        foreach (var name in (string[])["iidr", "typer", "typer.hi"])
            steps.Add(Step.ReadOnly(GicRegisters.Redistributor(vcpu, name)));

        foreach (var name in (string[])["statusr", "waker"])
            steps.Add(Step.Plain(GicRegisters.Redistributor(vcpu, name)));

        // Where LPIs are configured and kept, before GICR_CTLR switches them on and fixes these (IHI 0069, GICR_PROPBASER). The
        // kernel keeps what it finds good of a written value, which the zeros of a fresh one are not: those are left alone.
        foreach (var name in (string[])["propbaser", "propbaser.hi", "pendbaser", "pendbaser.hi"])
            steps.Add(Step.IfDifferent(GicRegisters.Redistributor(vcpu, name)));
        steps.Add(Step.Plain(GicRegisters.Redistributor(vcpu, "ctlr")));

        // As in the distributor, for the vCPU's own SGIs and PPIs.
        foreach (var name in (string[])["igroupr0", "icfgr0", "icfgr1"])
            steps.Add(Step.Plain(GicRegisters.Redistributor(vcpu, name)));
        for (var word = 0u; word < 8; word++)
            steps.Add(Step.Plain(GicRegisters.Redistributor(vcpu, Numbered("ipriorityr", word))));
        steps.Add(Step.Plain(new GicRegister(GicPart.Level, vcpu, 0)));
        foreach (var name in (string[])["ispendr0", "isactiver0"])
            steps.Add(Step.Plain(GicRegisters.Redistributor(vcpu, name)));

        // A fresh redistributor has its SGIs enabled, which the guest may have changed.
        var enabled = GicRegisters.Redistributor(vcpu, "isenabler0");
        steps.Add(Step.Clear(enabled, GicRegisters.Redistributor(vcpu, "icenabler0")));
        steps.Add(Step.Plain(enabled));
    }

    private static void AddInterface(List<Step> steps, int vcpu, int priorityBits)
    {
        // ICC_SRE_EL1 first: without it the others do not exist. ICC_CTLR_EL1 next: it must have no more bits of priority than the
        // host has, and it says whether the binary points are one (CBPR) when they are set.
        foreach (var name in (string[])["ICC_SRE_EL1", "ICC_CTLR_EL1", "ICC_PMR_EL1", "ICC_BPR0_EL1", "ICC_BPR1_EL1"])
            steps.Add(Step.Plain(GicRegisters.CpuInterface(vcpu, name)));

        // Active priorities: one register for 32 levels, so two for six bits, four for seven.
        var words = priorityBits > 5 ? 1 << (priorityBits - 5) : 1;
        for (var word = 0u; word < words; word++)
        {
            steps.Add(Step.Plain(GicRegisters.CpuInterface(vcpu, Numbered("ICC_AP0R", word) + "_EL1")));
            steps.Add(Step.Plain(GicRegisters.CpuInterface(vcpu, Numbered("ICC_AP1R", word) + "_EL1")));
        }

        // The groups last: now interrupts may be signalled.
        foreach (var name in (string[])["ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1"])
            steps.Add(Step.Plain(GicRegisters.CpuInterface(vcpu, name)));
    }

    private static Step Distributor(string name, uint number) => Step.Plain(GicRegisters.Distributor(Numbered(name, number)));

    private static string Numbered(string name, uint number) => name + number.ToString(CultureInfo.InvariantCulture);

    /// <summary>One write of a restore.</summary>
    /// <param name="Saved">The register whose value is restored.</param>
    /// <param name="Written">The register that is written.</param>
    /// <param name="IsCleared">Whether all bits are written instead of the value: a register in which a set bit clears.</param>
    /// <param name="IsReadOnly">Whether nothing is written: the kernel ignores it, and the comparison says whether it is the same.</param>
    /// <param name="IsLeftAlone">Whether a register that has its value already is not written.</param>
    [StructLayout(LayoutKind.Auto)]
    internal readonly record struct Step(GicRegister Saved, GicRegister Written, bool IsCleared, bool IsReadOnly, bool IsLeftAlone)
    {
        public static Step Plain(GicRegister register) => new(register, register, false, false, false);

        public static Step Clear(GicRegister saved, GicRegister written) => new(saved, written, true, false, false);

        public static Step ReadOnly(GicRegister register) => new(register, register, false, true, false);

        public static Step IfDifferent(GicRegister register) => new(register, register, false, false, true);
    }
}
