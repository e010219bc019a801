using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>
/// The registers of a GICv3's distributor, or of one vCPU's redistributor and interface: what they hold after reset, and what
/// the kernel takes for them (Documentation/virt/kvm/devices/arm-vgic-v3.rst).
/// </summary>
internal sealed class GicFile
{
    private const uint Identification = 0x4b00_343b; // Implementer 'K', revision 3, JEP106 of Arm.
    private const uint EnableGroups = 3;
    private const uint AlwaysSet = 0x50; // GICD_CTLR: DS, ARE.
    private const uint PriorityBytes = 0xf8f8_f8f8; // Five bits of priority.
    private const uint EdgeBits = 0xaaaa_aaaa;
    private const ulong InterfaceControl = 0x400; // ICC_CTLR_EL1: PRIbits 4, so five bits of priority.

    private readonly Dictionary<uint, Word> _words = [];
    private readonly Dictionary<uint, ulong> _interface = [];
    private readonly Dictionary<uint, uint> _levels = [];

    private enum Rule
    {
        /// <summary>Keeps the bits of its mask.</summary>
        Kept,

        /// <summary>As GICR_PROPBASER: inner memory without a cache becomes one with it.</summary>
        Cacheable,

        /// <summary>Writes are ignored.</summary>
        ReadOnly,

        /// <summary>Only the value that it has may be written.</summary>
        Fixed,

        /// <summary>A set bit sets.</summary>
        Sets,

        /// <summary>A set bit clears the register at the offset less 0x80, which reads here too.</summary>
        Clears,
    }

    public static GicFile OfDistributor(uint interrupts)
    {
        var file = new GicFile();
        file.Add("ctlr", AlwaysSet, Rule.Kept, EnableGroups, GicRegisters.Distributor);
        file.Add("typer", (interrupts / 32) - 1 | (15 << 19), Rule.ReadOnly, 0, GicRegisters.Distributor);
        file.Add("iidr", Identification, Rule.Fixed, 0, GicRegisters.Distributor);
        file.Add("typer2", 0, Rule.Fixed, 0, GicRegisters.Distributor);
        file.Add("statusr", uint.MaxValue, Rule.ReadOnly, 0, GicRegisters.Distributor);
        for (var word = 1u; word < interrupts / 32; word++)
        {
            file.AddInterrupts(word, 0, GicRegisters.Distributor);
            file._levels[word * 32] = 0;
        }

        for (var word = 8u; word < interrupts / 4; word++)
            file.Add($"ipriorityr{word}", 0, Rule.Kept, PriorityBytes, GicRegisters.Distributor);
        for (var word = 2u; word < interrupts / 16; word++)
            file.Add($"icfgr{word}", 0, Rule.Kept, EdgeBits, GicRegisters.Distributor);
        for (var interrupt = 32u; interrupt < Math.Min(interrupts, 1020); interrupt++)
        {
            file.Add($"irouter{interrupt}", 0, Rule.Kept, 0xff_ffff, GicRegisters.Distributor);
            file.Add($"irouter{interrupt}.hi", 0, Rule.Kept, 0xff, GicRegisters.Distributor);
        }

        return file;
    }

    public static GicFile OfVcpu(int index, ulong affinity, bool isLast)
    {
        var file = new GicFile();
        GicRegister Named(string name) => GicRegisters.Redistributor(0, name);
        file.Add("ctlr", 0, Rule.ReadOnly, 0, Named);
        file.Add("iidr", Identification, Rule.ReadOnly, 0, Named);
        file.Add("typer", ((uint)index << 8) | (isLast ? 0x10u : 0), Rule.ReadOnly, 0, Named);
        file.Add("typer.hi", (uint)affinity, Rule.ReadOnly, 0, Named);
        file.Add("statusr", 0, Rule.ReadOnly, 0, Named);
        file.Add("waker", 0, Rule.ReadOnly, 0, Named);
        file.Add("propbaser", 0, Rule.Cacheable, uint.MaxValue, Named);
        foreach (var name in (string[])["propbaser.hi", "pendbaser", "pendbaser.hi"])
            file.Add(name, 0, Rule.Kept, uint.MaxValue, Named);
        file.AddInterrupts(0, 0xffff, Named);
        for (var word = 0; word < 8; word++)
            file.Add($"ipriorityr{word}", 0, Rule.Kept, PriorityBytes, Named);
        file.Add("icfgr0", EdgeBits, Rule.ReadOnly, 0, Named);
        file.Add("icfgr1", 0, Rule.ReadOnly, 0, Named);
        file._levels[0] = 0;
        (string Name, ulong Value)[] sysregs =
        [
            ("ICC_SRE_EL1", 7), ("ICC_CTLR_EL1", InterfaceControl), ("ICC_PMR_EL1", 0), ("ICC_BPR0_EL1", 2), ("ICC_BPR1_EL1", 3),
            ("ICC_AP0R0_EL1", 0), ("ICC_AP1R0_EL1", 0), ("ICC_IGRPEN0_EL1", 0), ("ICC_IGRPEN1_EL1", 0),
        ];
        foreach (var (name, value) in sysregs)
            file._interface[GicRegisters.CpuInterface(0, name).Offset] = value;
        return file;
    }

    public bool Has(GicPart part, uint offset) => part == GicPart.CpuInterface ? _interface.ContainsKey(offset) : _words.ContainsKey(offset);

    public int Read(GicPart part, uint offset, out ulong value)
    {
        value = 0;
        if (part == GicPart.CpuInterface)
            return _interface.TryGetValue(offset, out value) ? 0 : Errno.EINVAL;
        if (part == GicPart.Level)
        {
            value = _levels.GetValueOrDefault(offset);
            return offset % 32 == 0 ? 0 : Errno.EINVAL;
        }

        if (!_words.TryGetValue(offset, out var word))
            return Errno.ENXIO;
        value = word.Rule == Rule.Clears ? _words[offset - 0x80].Value : word.Value;
        return 0;
    }

    public int Write(GicPart part, uint offset, ulong value)
    {
        if (part == GicPart.CpuInterface)
            return WriteInterface(offset, value);
        if (part == GicPart.Level)
        {
            if (offset % 32 != 0)
                return Errno.EINVAL;
            if (_levels.ContainsKey(offset))
                _levels[offset] = (uint)value & (offset == 0 ? 0xffff_0000 : uint.MaxValue);
            return 0;
        }

        if (!_words.TryGetValue(offset, out var word))
            return Errno.ENXIO;
        return WriteWord(offset, word, (uint)value);
    }

    private int WriteWord(uint offset, Word word, uint value)
    {
        switch (word.Rule)
        {
            case Rule.Fixed:
                return value == word.Value ? 0 : Errno.EINVAL;
            case Rule.Kept:
                _words[offset] = word with { Value = (value & word.Mask) | (word.Reset & ~word.Mask) };
                return 0;
            case Rule.Cacheable:
                _words[offset] = word with { Value = ((value >> 7) & 7) <= 1 ? (value & ~0x380u) | 0x180 : value };
                return 0;
            case Rule.Sets:
                _words[offset] = word with { Value = word.Value | value };
                return 0;
            case Rule.Clears:
                _words[offset - 0x80] = _words[offset - 0x80] with { Value = _words[offset - 0x80].Value & ~value };
                return 0;
            default:
                return 0;
        }
    }

    private int WriteInterface(uint offset, ulong value)
    {
        const ulong priorityBits = 7 << 8;
        if (!_interface.ContainsKey(offset))
            return Errno.EINVAL;
        if (offset == GicRegisters.CpuInterface(0, "ICC_SRE_EL1").Offset && (value & 1) == 0)
            return Errno.EINVAL;
        // More bits of priority than the host has.
        if (offset == GicRegisters.CpuInterface(0, "ICC_CTLR_EL1").Offset && (value & priorityBits) > (InterfaceControl & priorityBits))
            return Errno.EINVAL;
        _interface[offset] = value;
        return 0;
    }

    // What each interrupt of a word of 32 is and does. The latch of a pending state is set as a whole through this interface, and
    // cannot be cleared by ICPENDR.
    private void AddInterrupts(uint word, uint enabled, Func<string, GicRegister> named)
    {
        Add($"igroupr{word}", 0, Rule.Kept, uint.MaxValue, named);
        Add($"isenabler{word}", enabled, Rule.Sets, 0, named);
        Add($"icenabler{word}", 0, Rule.Clears, 0, named);
        Add($"ispendr{word}", 0, Rule.Kept, uint.MaxValue, named);
        Add($"icpendr{word}", 0, Rule.ReadOnly, 0, named);
        Add($"isactiver{word}", 0, Rule.Sets, 0, named);
        Add($"icactiver{word}", 0, Rule.Clears, 0, named);
    }

    private void Add(string name, uint reset, Rule rule, uint mask, Func<string, GicRegister> named) =>
        _words[named(name).Offset] = new Word(reset, reset, rule, mask);

    private readonly record struct Word(uint Value, uint Reset, Rule Rule, uint Mask);
}
