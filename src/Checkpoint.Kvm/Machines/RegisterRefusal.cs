using System.Globalization;
using System.Numerics;
using System.Text;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

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
    /// <summary>The bits of <see cref="Wanted"/> that are in the way of a value that was refused with an error, where they could be found; otherwise 0.</summary>
    public ulong Bits { get; init; }

    /// <summary>Of a register that travelled in a batch: how many of the batch were written.</summary>
    public int BatchWritten { get; init; }

    /// <summary>Of a register that travelled in a batch: how many it held; otherwise 0.</summary>
    public int BatchSize { get; init; }

    /// <summary>A register that travelled in a batch and was refused with an error.</summary>
    /// <param name="vcpu">The vCPU's index.</param>
    /// <param name="item">The register and the checkpoint's value.</param>
    /// <param name="errno">The error number.</param>
    /// <param name="written">How many of the batch were written; it goes on behind a refused register.</param>
    /// <param name="size">How many the batch held.</param>
    internal static RegisterRefusal InBatch(int vcpu, StateItem item, int errno, int written, int size) =>
        new(vcpu, RegisterNames.NameOf(item.Id), item.Id, item.Value, default, errno) { BatchWritten = written, BatchSize = size };

    /// <summary>
    /// One line: <c>vCPU 2 IA32_EFER: wanted 0x…, found 0x…</c>, <c>vCPU 0 cr4: wanted 0x…, found 0x…, refused with EINVAL (bit 31)</c>,
    /// <c>vCPU 1 IA32_LSTAR: wanted 0x…, found 0x…, refused with EINVAL; 41 of 259 written</c>.
    /// </summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(Vcpu is { } vcpu ? string.Create(CultureInfo.InvariantCulture, $"vCPU {vcpu} {Register}: ") : $"VM {Register}: ");
        text.Append(Wanted.IsEmpty ? "not in the checkpoint" : "wanted " + Hex(Wanted.Span));
        if (!Found.IsEmpty)
            text.Append(", found ").Append(Hex(Found.Span));
        else if (Errno == 0)
            text.Append(", this host does not have it");
        if (Errno == 0)
            return text.ToString();
        text.Append(", refused with ").Append(Device.Errno.NameOf(Errno));
        if (Bits != 0)
            text.Append(BitOperations.IsPow2(Bits) ? " (bit " : " (bits ").AppendJoin(", ", BitNumbers()).Append(')');
        if (BatchSize != 0)
            text.Append(CultureInfo.InvariantCulture, $"; {BatchWritten} of {BatchSize} written");
        return text.ToString();
    }

    private IEnumerable<int> BitNumbers()
    {
        for (var left = Bits; left != 0; left &= left - 1)
            yield return BitOperations.TrailingZeroCount(left);
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
