using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// The arm64 registers that are not system registers, by name: core, cache sizes, firmware, SVE. Ids are those of
/// arch/arm64/include/uapi/asm/kvm.h; the place of a core register is its offset in struct kvm_regs in 32-bit words.
/// </summary>
public static class Arm64Registers
{
    /// <summary>How many Z registers SVE has.</summary>
    public const int SveVectors = 32;

    /// <summary>How many P registers SVE has.</summary>
    public const int SvePredicates = 16;

    /// <summary>KVM_REG_ARM64_SVE_VLS: one bit for each vector length in units of 128 bits, 512 bits in all.</summary>
    public const ulong SveLengths = RegisterId.Arm64 | SizeU512 | SveKind | 0xffff;

    /// <summary>KVM_REG_ARM64_SVE_FFR(0).</summary>
    public const ulong SveFirstFault = RegisterId.Arm64 | SizeU256 | SveKind | 0x600;

    private const ulong SizeU32 = 2UL << RegisterId.SizeShift;
    private const ulong SizeU64 = 3UL << RegisterId.SizeShift;
    private const ulong SizeU128 = 4UL << RegisterId.SizeShift;
    private const ulong SizeU256 = 5UL << RegisterId.SizeShift;
    private const ulong SizeU512 = 6UL << RegisterId.SizeShift;
    private const ulong SizeU2048 = 8UL << RegisterId.SizeShift;
    private const ulong CoreKind = 0x10UL << 16;
    private const ulong DemuxKind = 0x11UL << 16;
    private const ulong FirmwareKind = 0x14UL << 16;
    private const ulong SveKind = 0x15UL << 16;
    private const ulong FirmwareBitmapKind = 0x16UL << 16;

    // struct kvm_regs: struct user_pt_regs (31 general registers, sp, pc, pstate), sp_el1, elr_el1, spsr[5], and aligned to 16
    // struct user_fpsimd_state (32 vectors, fpsr, fpcr). Offsets in bytes.
    private const int SpOffset = 31 * 8;
    private const int PcOffset = 32 * 8;
    private const int PstateOffset = 33 * 8;
    private const int SpEl1Offset = 34 * 8;
    private const int ElrEl1Offset = 35 * 8;
    private const int SpsrOffset = 36 * 8;
    private const int VectorsOffset = 336;
    private const int FpsrOffset = VectorsOffset + (32 * 16);
    private const int FpcrOffset = FpsrOffset + 4;

    private static readonly string[] s_spsr = ["spsr_el1", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq"];

    /// <summary>pc.</summary>
    public static ulong Pc { get; } = Core(PcOffset, SizeU64);

    /// <summary>PSTATE in the layout of SPSR_EL1.</summary>
    public static ulong Pstate { get; } = Core(PstateOffset, SizeU64);

    /// <summary>The core registers in the order of struct kvm_regs: x0 to x30, sp, pc, pstate, sp_el1, elr_el1, five spsr, v0 to v31, fpsr, fpcr.</summary>
    public static ImmutableArray<(string Name, ulong Id)> CoreRegisters { get; } =
    [
        .. Enumerable.Range(0, 31).Select(i => (Numbered("x", i), X(i))),
        ("sp", Core(SpOffset, SizeU64)), // SP_EL0
        ("pc", Pc),
        ("pstate", Pstate),
        ("sp_el1", Core(SpEl1Offset, SizeU64)),
        ("elr_el1", Core(ElrEl1Offset, SizeU64)),
        .. s_spsr.Select((name, i) => (name, Core(SpsrOffset + (8 * i), SizeU64))),
        .. Enumerable.Range(0, 32).Select(i => (Numbered("v", i), V(i))),
        ("fpsr", Core(FpsrOffset, SizeU32)),
        ("fpcr", Core(FpcrOffset, SizeU32)),
    ];

    /// <summary>Firmware: the PSCI version and how the host is safe from speculation (KVM_REG_ARM_FW_REG).</summary>
    public static ImmutableArray<(string Name, ulong Id)> FirmwareRegisters { get; } =
    [
        ("fw.psci_version", Firmware(0)),
        ("fw.smccc_workaround_1", Firmware(1)),
        ("fw.smccc_workaround_2", Firmware(2)),
        ("fw.smccc_workaround_3", Firmware(3)),
    ];

    /// <summary>Bitmaps of firmware services (KVM_REG_ARM_FW_FEAT_BMAP_REG); the last one since Linux 6.16.</summary>
    public static ImmutableArray<(string Name, ulong Id)> FirmwareBitmaps { get; } =
    [
        ("fw.std_bmap", FirmwareBitmap(0)),
        ("fw.std_hyp_bmap", FirmwareBitmap(1)),
        ("fw.vendor_hyp_bmap", FirmwareBitmap(2)),
        ("fw.vendor_hyp_bmap_2", FirmwareBitmap(3)),
    ];

    /// <summary>SVE with one slice each: the vector lengths, Z, P, FFR.</summary>
    public static ImmutableArray<(string Name, ulong Id)> SveRegisters { get; } =
    [
        ("sve_vls", SveLengths),
        .. Enumerable.Range(0, SveVectors).Select(i => (Numbered("z", i), Z(i))),
        .. Enumerable.Range(0, SvePredicates).Select(i => (Numbered("p", i), P(i))),
        ("ffr", SveFirstFault),
    ];

    private static readonly FrozenDictionary<string, ulong> s_byName =
        CoreRegisters.Concat(FirmwareRegisters).Concat(FirmwareBitmaps).Concat(SveRegisters)
            .ToFrozenDictionary(each => each.Name, each => each.Id, StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<ulong, string> s_byId = s_byName.ToFrozenDictionary(each => each.Value, each => each.Key);

    /// <summary>A general register, x0 to x30; 64 bits.</summary>
    public static ulong X(int number) => Core(8 * number, SizeU64);

    /// <summary>A vector register, v0 to v31; 128 bits. A vCPU with SVE has the Z registers in place of these.</summary>
    public static ulong V(int number) => Core(VectorsOffset + (16 * number), SizeU128);

    /// <summary>A slice of a Z register; 2048 bits, of which the vCPU's vector length is used.</summary>
    public static ulong Z(int number, int slice = 0) => RegisterId.Arm64 | SizeU2048 | SveKind | ((uint)number << 5) | (uint)slice;

    /// <summary>A slice of a P register; 256 bits.</summary>
    public static ulong P(int number, int slice = 0) => RegisterId.Arm64 | SizeU256 | SveKind | 0x400 | ((uint)number << 5) | (uint)slice;

    /// <summary>A cache's size, by the value of CSSELR_EL1 that selects it, 0 to 13; 32 bits.</summary>
    public static ulong CacheSize(int selector) => RegisterId.Arm64 | SizeU32 | DemuxKind | (uint)selector;

    /// <summary>The name; null for what has none here.</summary>
    public static string? NameOf(ulong id)
    {
        if (s_byId.TryGetValue(id, out var name))
            return name;
        var parts = new RegisterId(id);
        return parts.Kind switch
        {
            RegisterKind.Demux when id == CacheSize((byte)id) => Numbered("ccsidr[", (byte)id) + "]",
            RegisterKind.SveVector when id == Z(parts.SveNumber, parts.SveSlice) => Sliced(Numbered("z", parts.SveNumber), parts.SveSlice),
            RegisterKind.SvePredicate when id == P(parts.SveNumber, parts.SveSlice) => Sliced(Numbered("p", parts.SveNumber), parts.SveSlice),
            RegisterKind.SveFirstFault when id == (SveFirstFault | (uint)parts.SveSlice) => Sliced("ffr", parts.SveSlice),
            _ => null,
        };
    }

    /// <summary>The id behind a name, slices (<c>z3[1]</c>) and cache sizes (<c>ccsidr[2]</c>) included; upper and lower case are the same.</summary>
    public static bool TryGetId(string name, out ulong id)
    {
        if (s_byName.TryGetValue(name, out id))
            return true;
        var open = name.IndexOf('[', StringComparison.Ordinal);
        if (open < 0 || !name.EndsWith(']') || !byte.TryParse(name.AsSpan(open + 1, name.Length - open - 2), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            return false;
        var stem = name[..open];
        if (stem.Equals("ccsidr", StringComparison.OrdinalIgnoreCase))
        {
            id = CacheSize(number);
            return true;
        }

        var isSliced = s_byName.TryGetValue(stem, out id)
            && new RegisterId(id).Kind is RegisterKind.SveVector or RegisterKind.SvePredicate or RegisterKind.SveFirstFault;
        id |= number;
        return isSliced && number < 32;
    }

    private static ulong Core(int offsetBytes, ulong size) => RegisterId.Arm64 | size | CoreKind | (uint)(offsetBytes / 4);

    private static ulong Firmware(uint number) => RegisterId.Arm64 | SizeU64 | FirmwareKind | number;

    private static ulong FirmwareBitmap(uint number) => RegisterId.Arm64 | SizeU64 | FirmwareBitmapKind | number;

    private static string Numbered(string name, int number) => name + number.ToString(CultureInfo.InvariantCulture);

    private static string Sliced(string name, int slice) => slice == 0 ? name : Numbered(name + "[", slice) + "]";
}
