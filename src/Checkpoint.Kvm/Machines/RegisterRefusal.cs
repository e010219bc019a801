using System.Globalization;
using System.Text;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Machines;

/// <summary>One register that a machine did not take as the checkpoint holds it.</summary>
/// <param name="Vcpu">The index of the vCPU; null for the VM's own state.</param>
/// <param name="Register">The register's name.</param>
/// <param name="Id">The id of the state item that it belongs to.</param>
/// <param name="Wanted">The checkpoint's value; empty where the checkpoint has none.</param>
/// <param name="Found">What was read back; empty where nothing could be.</param>
/// <param name="Errno">The error number, where the kernel said no; 0 where it took the value and gave another back.</param>
public sealed record RegisterRefusal(
    int? Vcpu,
    string Register,
    ulong Id,
    ReadOnlyMemory<byte> Wanted,
    ReadOnlyMemory<byte> Found,
    int Errno)
{
    /// <summary>One line: <c>vCPU 2 IA32_EFER: wanted 0x…, found 0x…</c>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(Vcpu is { } vcpu ? string.Create(CultureInfo.InvariantCulture, $"vCPU {vcpu} {Register}: ") : $"VM {Register}: ");
        text.Append(Wanted.IsEmpty ? "not in the checkpoint" : "wanted " + Hex(Wanted.Span));
        if (Errno != 0)
            text.Append(", refused with ").Append(Device.Errno.NameOf(Errno));
        else
            text.Append(Found.IsEmpty ? ", this host does not have it" : ", found " + Hex(Found.Span));
        return text.ToString();
    }

    // Registers are little endian; people read numbers from the big end. Long values are groups, shown by their first bytes.
    private static string Hex(ReadOnlySpan<byte> value)
    {
        if (value.Length > 32)
            return $"{Convert.ToHexStringLower(value[..16])}… ({value.Length} bytes)";
        Span<byte> reversed = stackalloc byte[value.Length];
        value.CopyTo(reversed);
        reversed.Reverse();
        return "0x" + Convert.ToHexStringLower(reversed);
    }
}
