using System.Globalization;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>What the bits of a register's id say that it is.</summary>
public enum RegisterKind
{
    /// <summary>An id that no kernel known here makes.</summary>
    Unknown,

    /// <summary>x86: a model specific register (KVM_X86_REG_TYPE_MSR).</summary>
    Msr,

    /// <summary>x86: a register of KVM's own (KVM_X86_REG_TYPE_KVM).</summary>
    KvmOwn,

    /// <summary>A group of a vCPU's registers, with an id of ours.</summary>
    VcpuGroup,

    /// <summary>A group of the VM's state, with an id of ours.</summary>
    VmGroup,

    /// <summary>arm64: a place in struct kvm_regs (KVM_REG_ARM_CORE).</summary>
    Core,

    /// <summary>arm64: one of several registers behind a selector (KVM_REG_ARM_DEMUX).</summary>
    Demux,

    /// <summary>arm64: a system register (KVM_REG_ARM64_SYSREG).</summary>
    SystemRegister,

    /// <summary>arm64: a pseudo register of KVM as firmware (KVM_REG_ARM_FW).</summary>
    Firmware,

    /// <summary>arm64: a bitmap of firmware services (KVM_REG_ARM_FW_FEAT_BMAP); may be set only before any vCPU has run.</summary>
    FirmwareBitmap,

    /// <summary>arm64: a slice of a Z register, 2048 bits.</summary>
    SveVector,

    /// <summary>arm64: a slice of a P register, 256 bits.</summary>
    SvePredicate,

    /// <summary>arm64: a slice of the first-fault register, 256 bits.</summary>
    SveFirstFault,

    /// <summary>arm64: the set of vector lengths (KVM_REG_ARM64_SVE_VLS); may be set only before KVM_ARM_VCPU_FINALIZE.</summary>
    SveLengths,

    /// <summary>arm64: a register of the GICv3, with an id of ours (<see cref="GicRegister"/>).</summary>
    Gic,
}

/// <summary>
/// The 64-bit id of a register, taken apart (Documentation/virt/kvm/api.rst 4.68): the architecture in the top byte, log2 of
/// the size in bytes in bits 52 to 55, below that what the architecture makes of it.
/// </summary>
/// <param name="Value">The id.</param>
public readonly record struct RegisterId(ulong Value)
{
    /// <summary>KVM_REG_X86.</summary>
    internal const ulong X86 = 0x20UL << ArchitectureShift;

    /// <summary>KVM_REG_ARM64.</summary>
    internal const ulong Arm64 = 0x60UL << ArchitectureShift;

    internal const int SizeShift = 52;

    private const int ArchitectureShift = 56;
    private const int Arm64KindShift = 16;
    private const int X86KindShift = 32;
    private const ulong Arm64Unused = 0x000f_ffff_f000_0000;
    private const ulong X86Unused = 0x000f_ff00_0000_0000;
    private const ulong GroupMask = 0xffff_ffff_ffff_0000;

    /// <summary>The architecture; null for ids of others.</summary>
    public MachineArchitecture? Architecture => (Value & GroupMask) switch
    {
        _ when GicRegister.TryOf(Value, out _) => MachineArchitecture.Arm64,
        Arm64StateIds.VmGroupBase => MachineArchitecture.Arm64,
        StateIds.X64GroupBase or StateIds.X64VmGroupBase => MachineArchitecture.X64,
        Arm64StateIds.VcpuGroupBase => MachineArchitecture.Arm64,
        _ => (Value >> ArchitectureShift) switch
        {
            X86 >> ArchitectureShift => MachineArchitecture.X64,
            Arm64 >> ArchitectureShift => MachineArchitecture.Arm64,
            _ => null,
        },
    };

    /// <summary>What it is.</summary>
    public RegisterKind Kind => (Value & GroupMask) switch
    {
        _ when GicRegister.TryOf(Value, out _) => RegisterKind.Gic,
        Arm64StateIds.VmGroupBase => RegisterKind.VmGroup,
        StateIds.X64GroupBase or Arm64StateIds.VcpuGroupBase => RegisterKind.VcpuGroup,
        StateIds.X64VmGroupBase => RegisterKind.VmGroup,
        _ => (Value >> ArchitectureShift) switch
        {
            X86 >> ArchitectureShift when (Value & X86Unused) == 0 => X86Kind,
            Arm64 >> ArchitectureShift when (Value & Arm64Unused) == 0 => Arm64Kind,
            _ => RegisterKind.Unknown,
        },
    };

    /// <summary>The size in bytes that the id says, 1 to 32768; null for our groups, whose ids do not say it.</summary>
    public int? SizeBytes => Kind switch
    {
        RegisterKind.VcpuGroup or RegisterKind.VmGroup => null,
        RegisterKind.Gic => GicRegister.TryOf(Value, out var register) ? register.SizeBytes : null,
        _ => 1 << SizeCode,
    };

    /// <summary>Which one of its kind: an MSR's index, the low 16 bits of an arm64 id, the number of a group.</summary>
    public uint Index => Kind is RegisterKind.Msr or RegisterKind.KvmOwn ? (uint)Value : (ushort)Value;

    /// <summary>A system register's op0; the others likewise.</summary>
    public int Op0 => (int)(Value >> 14) & 3;

    /// <summary>op1.</summary>
    public int Op1 => (int)(Value >> 11) & 7;

    /// <summary>CRn.</summary>
    public int Crn => (int)(Value >> 7) & 15;

    /// <summary>CRm.</summary>
    public int Crm => (int)(Value >> 3) & 15;

    /// <summary>op2.</summary>
    public int Op2 => (int)Value & 7;

    /// <summary>A Z or P register's number.</summary>
    public int SveNumber => (int)(Value >> 5) & (Kind == RegisterKind.SvePredicate ? 15 : 31);

    /// <summary>Which slice of a Z or P register or of FFR; 0 on every kernel so far.</summary>
    public int SveSlice => (int)Value & 31;

    private int SizeCode => (int)(Value >> SizeShift) & 0xf;

    private RegisterKind X86Kind => ((Value >> X86KindShift) & 0xff) switch
    {
        2 => RegisterKind.Msr,
        3 => RegisterKind.KvmOwn,
        _ => RegisterKind.Unknown,
    };

    // The "coprocessor" number of arch/arm64/include/uapi/asm/kvm.h. The parts of SVE lie at 0 (Z), 0x400 (P) and 0x600 (FFR).
    private RegisterKind Arm64Kind => ((Value >> Arm64KindShift) & 0xfff) switch
    {
        0x10 => RegisterKind.Core,
        0x11 => RegisterKind.Demux,
        0x13 => RegisterKind.SystemRegister,
        0x14 => RegisterKind.Firmware,
        0x15 => (ushort)Value switch
        {
            < 0x400 => RegisterKind.SveVector,
            < 0x600 => RegisterKind.SvePredicate,
            < 0x620 => RegisterKind.SveFirstFault,
            0xffff => RegisterKind.SveLengths,
            _ => RegisterKind.Unknown,
        },
        0x16 => RegisterKind.FirmwareBitmap,
        _ => RegisterKind.Unknown,
    };

    /// <summary>The register's name, see <see cref="RegisterNames.NameOf"/>.</summary>
    public override string ToString() => RegisterNames.NameOf(Value);

    /// <summary>
    /// The id as its parts, for what has no name: <c>s3_0_c1_c0_7</c>, <c>arm64.core[0x55]:4</c>, <c>x86.kvm[0x1]:8</c>, and
    /// the plain number where even the parts mean nothing. <see cref="TryParseParts"/> reads each back.
    /// </summary>
    internal string ToParts()
    {
        if ((Value & ~0xffffUL) == Arm64SystemRegisters.IdBase)
            return string.Create(CultureInfo.InvariantCulture, $"s{Op0}_{Op1}_c{Crn}_c{Crm}_{Op2}");
        return (Value >> ArchitectureShift) switch
        {
            X86 >> ArchitectureShift when (Value & X86Unused) == 0 =>
                string.Create(CultureInfo.InvariantCulture, $"x86.{KindText(X86Kinds, (Value >> X86KindShift) & 0xff)}[0x{(uint)Value:x}]:{1 << SizeCode}"),
            Arm64 >> ArchitectureShift when (Value & Arm64Unused) == 0 =>
                string.Create(CultureInfo.InvariantCulture, $"arm64.{KindText(Arm64Kinds, (Value >> Arm64KindShift) & 0xfff)}[0x{(ushort)Value:x}]:{1 << SizeCode}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x16}"),
        };
    }

    /// <summary>Reads what <see cref="ToParts"/> writes, and any id as <c>0x</c> with up to 16 digits.</summary>
    internal static bool TryParseParts(string text, out ulong id)
    {
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return TryHex(text, 64, out id);
        return TryParseOperands(text, out id)
            || TryParseKind(text, "x86.", X86Kinds, X86, X86KindShift, 8, 32, out id)
            || TryParseKind(text, "arm64.", Arm64Kinds, Arm64, Arm64KindShift, 12, 16, out id);
    }

    private static ReadOnlySpan<(string Name, ulong Number)> X86Kinds => new[] { ("msr", 2UL), ("kvm", 3UL) };

    private static ReadOnlySpan<(string Name, ulong Number)> Arm64Kinds => new[]
    {
        ("core", 0x10UL), ("demux", 0x11UL), ("sysreg", 0x13UL), ("fw", 0x14UL), ("sve", 0x15UL), ("fw_bmap", 0x16UL),
    };

    private static string KindText(ReadOnlySpan<(string Name, ulong Number)> kinds, ulong number)
    {
        foreach (var kind in kinds)
        {
            if (kind.Number == number)
                return kind.Name;
        }

        return string.Create(CultureInfo.InvariantCulture, $"0x{number:x}");
    }

    private static bool TryParseOperands(string text, out ulong id)
    {
        id = 0;
        var parts = text.ToLowerInvariant().Split('_');
        if (parts.Length != 5 || !parts[0].StartsWith('s') || !parts[2].StartsWith('c') || !parts[3].StartsWith('c'))
            return false;
        if (!TryNumber(parts[0][1..], 3, out var op0) || !TryNumber(parts[1], 7, out var op1) || !TryNumber(parts[2][1..], 15, out var crn)
            || !TryNumber(parts[3][1..], 15, out var crm) || !TryNumber(parts[4], 7, out var op2))
            return false;
        id = Arm64SystemRegisters.IdOf(op0, op1, crn, crm, op2);
        return true;
    }

    private static bool TryParseKind(
        string text, string prefix, ReadOnlySpan<(string Name, ulong Number)> kinds, ulong architecture, int kindShift, int kindBits, int indexBits, out ulong id)
    {
        id = 0;
        var open = text.IndexOf('[', StringComparison.Ordinal);
        var close = text.IndexOf("]:", StringComparison.Ordinal);
        if (!text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) || open < prefix.Length || close < open)
            return false;
        var kindText = text[prefix.Length..open];
        ulong? kind = null;
        foreach (var each in kinds)
        {
            if (each.Name.Equals(kindText, StringComparison.OrdinalIgnoreCase))
                kind = each.Number;
        }

        if (kind is null && TryHex(kindText, kindBits, out var number))
            kind = number;
        if (kind is null || !TryHex(text[(open + 1)..close], indexBits, out var index) || !TryNumber(text[(close + 2)..], 1 << 15, out var size) || !int.IsPow2(size))
            return false;
        id = architecture | ((ulong)int.Log2(size) << SizeShift) | (kind.Value << kindShift) | index;
        return true;
    }

    private static bool TryHex(string text, int bits, out ulong value)
    {
        value = 0;
        return text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
            && (bits == 64 || value >> bits == 0);
    }

    private static bool TryNumber(string text, int most, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value <= most;
}
