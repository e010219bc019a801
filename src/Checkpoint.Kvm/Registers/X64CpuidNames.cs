using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// Names of what CPUID tells: <c>cpuid.7.0.ebx.avx512f</c>, <c>cpuid.1.ecx.vmx</c>, <c>cpuid.80000008.eax.linear_address_bits</c>, and
/// <c>cpuid.7.0.ebx.bit17</c> for a bit without a name. Leaf and index are hexadecimal; the index stands where the leaf has parts.
/// </summary>
public static class X64CpuidNames
{
    /// <summary>What refusals about CPUID have for an id. CPUID is part of the machine's description and no stored item.</summary>
    public const ulong GroupId = 0xf200_0000_000f_0000;

    /// <summary>The name of all of it, which a policy's rule may use.</summary>
    public const string Group = "CPUID";

    private const string Prefix = "cpuid.";
    private const string BitPrefix = "bit";

    // Leaves that ECX divides (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).
    private static readonly FrozenSet<uint> s_leavesWithParts = new uint[]
    {
        4, 7, 0xb, 0xd, 0xf, 0x10, 0x12, 0x14, 0x17, 0x18, 0x1b, 0x1d, 0x1e, 0x1f, 0x20, 0x23, 0x24, 0x8000_001d, 0x8000_0020, 0x8000_0026,
    }.ToFrozenSet();

    // Answers that are numbers, where a host cannot take a larger one than its own.
    private static readonly ImmutableArray<(string Name, X64CpuidField Field)> s_limits =
    [
        ("max_xsave_size", new X64CpuidField(0xd, 0, X64CpuidRegister.Ecx, 0, 32)),
        ("avx10_version", new X64CpuidField(0x24, 0, X64CpuidRegister.Ebx, 0, 8)),
        ("physical_address_bits", new X64CpuidField(0x8000_0008, 0, X64CpuidRegister.Eax, 0, 8)),
        ("linear_address_bits", new X64CpuidField(0x8000_0008, 0, X64CpuidRegister.Eax, 8, 8)),
    ];

    // Only policies and commands read names; a restore that has nothing to say does not wait for this.
    private static readonly Lazy<FrozenDictionary<string, X64CpuidField>> s_fields = new(() => X64CpuidFeatures.Registers
        .SelectMany(each => Enumerable.Range(0, 32).Select(bit => new X64CpuidField(each.Leaf, each.Index, each.Register, bit)))
        .Where(X64CpuidFeatures.IsFeature)
        .Select(field => (Name: NameOf(field), Field: field))
        .Concat(s_limits.Select(limit => (Name: NameOf(limit.Field), limit.Field)))
        .ToFrozenDictionary(each => each.Name, each => each.Field, StringComparer.OrdinalIgnoreCase));

    /// <summary>The numbers of which a host cannot take a larger one than its own.</summary>
    public static IEnumerable<X64CpuidField> Limits => s_limits.Select(limit => limit.Field);

    /// <summary>The name of one feature's bit, of a number, or of a whole register of a leaf.</summary>
    public static string NameOf(X64CpuidField field)
    {
        foreach (var (name, limit) in s_limits)
        {
            if (limit == field)
                return $"{NameOf(field.Leaf, field.Index, field.Register)}.{name}";
        }

        var register = NameOf(field.Leaf, field.Index, field.Register);
        if (field.Bits > 1)
            return register;
        var feature = X64CpuidFeatures.NameOf(field) ?? string.Create(CultureInfo.InvariantCulture, $"{BitPrefix}{field.Bit}");
        return $"{register}.{feature}";
    }

    /// <summary>The name of a register of a leaf, <c>cpuid.7.0.ebx</c>.</summary>
    public static string NameOf(uint leaf, uint index, X64CpuidRegister register)
    {
        var where = s_leavesWithParts.Contains(leaf) || index != 0
            ? string.Create(CultureInfo.InvariantCulture, $"{leaf:x}.{index:x}")
            : string.Create(CultureInfo.InvariantCulture, $"{leaf:x}");
        return $"{Prefix}{where}.{register switch { X64CpuidRegister.Eax => "eax", X64CpuidRegister.Ebx => "ebx", X64CpuidRegister.Ecx => "ecx", _ => "edx" }}";
    }

    /// <summary>Reads the name of a feature or number that a restore compares; upper and lower case are the same.</summary>
    public static bool TryParse(string name, out X64CpuidField field) => s_fields.Value.TryGetValue(name, out field);

    /// <summary>As <see cref="TryParse"/>, as a field of the group CPUID, named as refusals name it.</summary>
    internal static bool TryParseField(string name, out RegisterField field)
    {
        var isKnown = s_fields.Value.TryGetValue(name, out var found);
        field = isKnown ? new RegisterField(NameOf(found), GroupId, 0, (found.Bits + 7) / 8) : default;
        return isKnown;
    }
}
