using System.Collections.Frozen;
using System.Globalization;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// The door to the names of registers, whatever the architecture. An id without a name has its parts for a name, so naming
/// never fails, and every name that is given reads back to its id.
/// </summary>
public static class RegisterNames
{
    private const string MsrPrefix = "MSR 0x";
    private const ulong GuestShadowStackPointer = RegisterId.X86 | (3UL << RegisterId.SizeShift) | (3UL << 32); // KVM_REG_GUEST_SSP

    // kvm_sregs2 before kvm_sregs: a name that both have means the newer struct, which every kernel since 5.14 offers.
    private static readonly FrozenDictionary<string, RegisterField> s_fields = X64Fields.All
        .Concat(Arm64StateIds.Fields)
        .OrderBy(field => field.Id == StateIds.X64Sregs)
        .DistinctBy(field => field.Name, StringComparer.OrdinalIgnoreCase)
        .ToFrozenDictionary(field => field.Name, StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<string, ulong> s_groups = X64Fields.Groups
        .Concat([Arm64StateIds.MpState, Arm64StateIds.VcpuEvents, Arm64StateIds.CounterHz])
        .ToFrozenDictionary(NameOf, StringComparer.OrdinalIgnoreCase);

    /// <summary>The name and the id, as messages show a register: <c>IA32_EFER (0x20300002c0000080)</c>.</summary>
    public static string Describe(ulong id) =>
        NameOf(id) is var name && name.StartsWith("0x", StringComparison.Ordinal)
            ? name
            : string.Create(CultureInfo.InvariantCulture, $"{name} (0x{id:x16})");

    /// <summary>
    /// The name of a state item: <c>TCR_EL1</c>, <c>x0</c>, <c>z3</c>, <c>fw.psci_version</c>, <c>IA32_EFER</c>, <c>REGS</c>; without
    /// a name its parts: <c>s3_0_c1_c0_7</c>, <c>MSR 0x1234</c>, <c>arm64.core[0x55]:4</c>, at last <c>0x…</c>.
    /// </summary>
    public static string NameOf(ulong id)
    {
        if (Arm64SystemRegisters.TryGet(id, out var register))
            return register.Name;
        if (id == GuestShadowStackPointer)
            return "guest_ssp";
        if (id == X64CpuidNames.GroupId)
            return X64CpuidNames.Group;
        var name = Arm64Registers.NameOf(id) ?? Arm64StateIds.NameOf(id) ?? GicRegisters.NameOf(id) ?? X64Fields.GroupName(id);
        if (name is not null)
            return name;
        return (id & StateIds.X64MsrMask) == StateIds.X64MsrBase ? X64MsrNames.NameOf((uint)id) : new RegisterId(id).ToParts();
    }

    /// <summary>Reads a name: of a state item, of a register inside one (which gives the item), or the parts of an id.</summary>
    /// <param name="name">The name; upper and lower case are the same.</param>
    /// <param name="id">The state item's id.</param>
    /// <returns>False where nothing has that name.</returns>
    public static bool TryParse(string name, out ulong id)
    {
        if (Arm64SystemRegisters.TryGetId(name, out id) || Arm64Registers.TryGetId(name, out id) || GicRegisters.TryGetId(name, out id) || s_groups.TryGetValue(name, out id))
            return true;
        if (TryParseField(name, out var field))
        {
            id = field.Id;
            return true;
        }

        if (name.Equals(X64CpuidNames.Group, StringComparison.OrdinalIgnoreCase))
        {
            id = X64CpuidNames.GroupId;
            return true;
        }

        if (name.Equals("guest_ssp", StringComparison.OrdinalIgnoreCase))
        {
            id = GuestShadowStackPointer;
            return true;
        }

        if (TryParseMsr(name, out var index))
        {
            id = StateIds.X64Msr(index);
            return true;
        }

        return RegisterId.TryParseParts(name, out id);
    }

    /// <summary>
    /// Reads the name of a register inside a group, such as <c>rip</c>, <c>cs.base</c>, <c>lapic.tmict</c>, or of what CPUID tells, such
    /// as <c>cpuid.7.0.ebx.avx512f</c>.
    /// </summary>
    /// <param name="name">The name; one that both <c>kvm_sregs</c> and <c>kvm_sregs2</c> have means the latter's.</param>
    /// <param name="field">Where it is.</param>
    public static bool TryParseField(string name, out RegisterField field) =>
        s_fields.TryGetValue(name, out field) || X64CpuidNames.TryParseField(name, out field);

    /// <summary>The registers of one state item; an item that is one register has one field of all its bytes.</summary>
    /// <param name="id">The item's id.</param>
    /// <param name="size">The size in bytes of its value.</param>
    public static IEnumerable<RegisterField> FieldsOf(ulong id, int size)
    {
        if (Arm64StateIds.NameOf(id) is not null)
            return Arm64StateIds.Fields.Where(field => field.Id == id && field.Offset + field.Size <= size);
        return X64Fields.GroupName(id) is null ? [new RegisterField(NameOf(id), id, 0, size)] : X64Fields.Of(id, size);
    }

    /// <summary>The name of the register at one byte of an item; <c>GROUP+0x…</c> where no field covers it.</summary>
    public static string NameAt(ulong id, int offset)
    {
        foreach (var field in FieldsOf(id, int.MaxValue))
        {
            if (offset >= field.Offset && offset - field.Offset < field.Size)
                return field.Name;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{NameOf(id)}+0x{offset:x}");
    }

    /// <summary>The reverse of <see cref="NameAt"/> for bytes without a field: <c>XSAVE+0x20</c>.</summary>
    /// <param name="name">The name.</param>
    /// <param name="id">The group.</param>
    /// <param name="offset">The byte's place in it.</param>
    /// <returns>False where there is no such group, or the byte belongs to a field with a name of its own.</returns>
    public static bool TryParseAt(string name, out ulong id, out int offset)
    {
        (id, offset) = (0, 0);
        var plus = name.IndexOf("+0x", StringComparison.Ordinal);
        return plus > 0
            && int.TryParse(name.AsSpan(plus + 3), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out offset)
            && TryParse(name[..plus], out id)
            && NameAt(id, offset) == name;
    }

    private static bool TryParseMsr(string name, out uint index) =>
        X64MsrNames.TryGetIndex(name, out index)
        || (name.StartsWith(MsrPrefix, StringComparison.OrdinalIgnoreCase)
            && uint.TryParse(name.AsSpan(MsrPrefix.Length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out index));
}
