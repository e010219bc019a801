using System.Collections.Frozen;
using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>The parts of a GICv3, by the numbers of their attribute groups (KVM_DEV_ARM_VGIC_GRP_*, arch/arm64/include/uapi/asm/kvm.h).</summary>
public enum GicPart
{
    /// <summary>KVM_DEV_ARM_VGIC_GRP_DIST_REGS: 32 bits at an offset in the distributor.</summary>
    Distributor = 1,

    /// <summary>KVM_DEV_ARM_VGIC_GRP_REDIST_REGS: 32 bits at an offset in a vCPU's redistributor.</summary>
    Redistributor = 5,

    /// <summary>KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: 64 bits of a vCPU's interface, by the operands of MRS and MSR.</summary>
    CpuInterface = 6,

    /// <summary>KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: the input levels of 32 interrupts from a number on; of the first 32 by vCPU.</summary>
    Level = 7,
}

/// <summary>One register of a GICv3, by an id of ours: the kernel has none for it.</summary>
/// <param name="Part">What it belongs to.</param>
/// <param name="Vcpu">The vCPU's place in the machine's order; 0 where it belongs to no vCPU.</param>
/// <param name="Offset">Bytes in the distributor or redistributor, the operands of MRS and MSR, or an interrupt's number.</param>
public readonly record struct GicRegister(GicPart Part, int Vcpu, uint Offset)
{
    private const int PartShift = 40;
    private const int VcpuShift = 20;
    private const uint OffsetMask = (1 << VcpuShift) - 1;

    /// <summary>The id: <see cref="Arm64StateIds.GicBase"/>, the part in bits 40 to 47, the vCPU in 20 to 39, the offset below.</summary>
    public ulong Id => Arm64StateIds.GicBase | ((ulong)Part << PartShift) | ((ulong)Vcpu << VcpuShift) | Offset;

    /// <summary>The size of its value in bytes.</summary>
    public int SizeBytes => Part == GicPart.CpuInterface ? sizeof(ulong) : sizeof(uint);

    /// <summary>Takes an id apart.</summary>
    /// <returns>False for an id that is none of a GIC's.</returns>
    public static bool TryOf(ulong id, out GicRegister register)
    {
        register = new GicRegister((GicPart)(byte)(id >> PartShift), (int)(id >> VcpuShift) & (int)OffsetMask, (uint)id & OffsetMask);
        return (id & Arm64StateIds.GicMask) == Arm64StateIds.GicBase && Enum.IsDefined(register.Part);
    }
}

/// <summary>
/// The names of a GICv3's registers, both ways: <c>gicd_ctlr</c>, <c>gicd_isenabler1</c>, <c>gicd_irouter32.hi</c>, <c>gicr0.isenabler0</c>,
/// <c>gicc0.icc_pmr_el1</c>, <c>gicr0.level0</c>, <c>gicd_level32</c>. Offsets are those of the Arm GIC architecture (IHI 0069).
/// </summary>
internal static class GicRegisters
{
    /// <summary>Where a redistributor's second frame, of SGIs and PPIs, begins.</summary>
    public const uint SgiFrame = 0x1_0000;

    // Names of one word each, and of series of words: the first number that exists, how many, bytes from one to the next.
    private static readonly (string Name, uint Offset, int Count, uint Step)[] s_distributor =
    [
        ("ctlr", 0, 0, 0), ("typer", 4, 0, 0), ("iidr", 8, 0, 0), ("typer2", 0xc, 0, 0), ("statusr", 0x10, 0, 0),
        ("igroupr", 0x80, 32, 4), ("isenabler", 0x100, 32, 4), ("icenabler", 0x180, 32, 4), ("ispendr", 0x200, 32, 4), ("icpendr", 0x280, 32, 4),
        ("isactiver", 0x300, 32, 4), ("icactiver", 0x380, 32, 4), ("ipriorityr", 0x400, 255, 4), ("icfgr", 0xc00, 64, 4), ("irouter", 0x6000, 1020, 8),
    ];

    private static readonly (string Name, uint Offset, int Count, uint Step)[] s_redistributor =
    [
        ("ctlr", 0, 0, 0), ("iidr", 4, 0, 0), ("typer", 8, 0, 8), ("statusr", 0x10, 0, 0), ("waker", 0x14, 0, 0), ("propbaser", 0x70, 0, 8),
        ("pendbaser", 0x78, 0, 8), ("igroupr", SgiFrame + 0x80, 1, 4), ("isenabler", SgiFrame + 0x100, 1, 4), ("icenabler", SgiFrame + 0x180, 1, 4),
        ("ispendr", SgiFrame + 0x200, 1, 4), ("icpendr", SgiFrame + 0x280, 1, 4), ("isactiver", SgiFrame + 0x300, 1, 4), ("icactiver", SgiFrame + 0x380, 1, 4),
        ("ipriorityr", SgiFrame + 0x400, 8, 4), ("icfgr", SgiFrame + 0xc00, 2, 4),
    ];

    private static readonly FrozenDictionary<string, uint> s_distributorOffsets = Expand(s_distributor);
    private static readonly FrozenDictionary<string, uint> s_redistributorOffsets = Expand(s_redistributor);
    private static readonly FrozenDictionary<uint, string> s_distributorNames = s_distributorOffsets.ToFrozenDictionary(each => each.Value, each => each.Key);
    private static readonly FrozenDictionary<uint, string> s_redistributorNames = s_redistributorOffsets.ToFrozenDictionary(each => each.Value, each => each.Key);

    /// <summary>A register of the distributor by its name without <c>gicd_</c>.</summary>
    public static GicRegister Distributor(string name) => new(GicPart.Distributor, 0, s_distributorOffsets[name]);

    /// <summary>A register of a redistributor by its name without <c>gicr0.</c>.</summary>
    public static GicRegister Redistributor(int vcpu, string name) => new(GicPart.Redistributor, vcpu, s_redistributorOffsets[name]);

    /// <summary>A register of a vCPU's interface by its architectural name, <c>ICC_PMR_EL1</c>.</summary>
    public static GicRegister CpuInterface(int vcpu, string name) => new(GicPart.CpuInterface, vcpu, (ushort)Arm64SystemRegisters.IdOf(name));

    /// <summary>The name; null for an id that is none of a GIC's. A register without a name has its offset: <c>gicd[0x1234]</c>.</summary>
    public static string? NameOf(ulong id)
    {
        if (!GicRegister.TryOf(id, out var register))
            return null;
        return register.Part switch
        {
            GicPart.Distributor => s_distributorNames.TryGetValue(register.Offset, out var name) ? "gicd_" + name : Invariant($"gicd[0x{register.Offset:x}]"),
            GicPart.Redistributor => s_redistributorNames.TryGetValue(register.Offset, out var name)
                ? Invariant($"gicr{register.Vcpu}.{name}")
                : Invariant($"gicr{register.Vcpu}[0x{register.Offset:x}]"),
            GicPart.CpuInterface => Arm64SystemRegisters.TryGet(Arm64SystemRegisters.IdBase | register.Offset, out var found)
                ? Invariant($"gicc{register.Vcpu}.{found.Name.ToLowerInvariant()}")
                : Invariant($"gicc{register.Vcpu}[0x{register.Offset:x}]"),
            _ => register.Offset == 0 ? Invariant($"gicr{register.Vcpu}.level0") : Invariant($"gicd_level{register.Offset}"),
        };
    }

    /// <summary>The id behind a name; upper and lower case are the same.</summary>
    public static bool TryGetId(string name, out ulong id)
    {
        id = 0;
        var found = TryParse(name.ToLowerInvariant());
        if (found is not { } register)
            return false;
        id = register.Id;
        return true;
    }

    private static GicRegister? TryParse(string name)
    {
        if (name.StartsWith("gicd_level", StringComparison.Ordinal) && TryNumber(name[10..], out var first))
            return first is > 0 and < 1024 ? new GicRegister(GicPart.Level, 0, (uint)first) : null;
        if (name.StartsWith("gicd_", StringComparison.Ordinal))
            return s_distributorOffsets.TryGetValue(name[5..], out var at) ? new GicRegister(GicPart.Distributor, 0, at) : null;
        if (name.StartsWith("gicd[", StringComparison.Ordinal))
            return TryOffset(name[4..], out var at) ? new GicRegister(GicPart.Distributor, 0, at) : null;
        if (name.Length < 6 || !name.StartsWith("gic", StringComparison.Ordinal) || name[3] is not ('r' or 'c'))
            return null;
        var end = 4;
        while (end < name.Length && char.IsAsciiDigit(name[end]))
            end++;
        if (!TryNumber(name[4..end], out var vcpu) || end == name.Length)
            return null;
        return name[3] == 'r' ? TryRedistributor(vcpu, name[end..]) : TryInterface(vcpu, name[end..]);
    }

    private static GicRegister? TryRedistributor(int vcpu, string rest)
    {
        if (rest == ".level0")
            return new GicRegister(GicPart.Level, vcpu, 0);
        return (rest[0] == '.' && s_redistributorOffsets.TryGetValue(rest[1..], out var at)) || TryOffset(rest, out at)
            ? new GicRegister(GicPart.Redistributor, vcpu, at)
            : null;
    }

    private static GicRegister? TryInterface(int vcpu, string rest)
    {
        if (rest[0] == '.' && Arm64SystemRegisters.TryGetId(rest[1..], out var id))
            return new GicRegister(GicPart.CpuInterface, vcpu, (ushort)id);
        return TryOffset(rest, out var at) ? new GicRegister(GicPart.CpuInterface, vcpu, at) : null;
    }

    // A word of 64 bits is two registers to the kernel: the upper half is `.hi`.
    private static FrozenDictionary<string, uint> Expand((string Name, uint Offset, int Count, uint Step)[] table)
    {
        var offsets = new Dictionary<string, uint>(StringComparer.Ordinal);
        foreach (var (name, offset, count, step) in table)
        {
            for (var i = 0; i < Math.Max(1, count); i++)
            {
                var numbered = count == 0 ? name : Invariant($"{name}{i}");
                offsets[numbered] = offset + ((uint)i * step);
                if (step == 8)
                    offsets[numbered + ".hi"] = offset + ((uint)i * step) + 4;
            }
        }

        return offsets.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private static bool TryNumber(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < 1 << 20;

    private static bool TryOffset(string text, out uint offset)
    {
        offset = 0;
        return text.StartsWith("[0x", StringComparison.Ordinal) && text.EndsWith(']')
            && uint.TryParse(text.AsSpan(3, text.Length - 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out offset)
            && offset < 1 << 20;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
