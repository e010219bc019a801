using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>Names of registers that have an id of their own, whatever the architecture.</summary>
public static class RegisterNames
{
    /// <summary>The name and the id, as messages show a register: <c>IA32_EFER (0x20300002c0000080)</c>.</summary>
    public static string Describe(ulong id) => string.Create(CultureInfo.InvariantCulture, $"{NameOf(id)} (0x{id:x16})");

    /// <summary>The register's name; its id where it has none.</summary>
    public static string NameOf(ulong id) => X64Fields.NameOf(id);
}
