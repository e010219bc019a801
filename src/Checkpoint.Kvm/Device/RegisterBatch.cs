using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device;

/// <summary>
/// Registers that travel together, with one packed value buffer. Made once and used again and again: the argument of
/// KVM_GET_MANY_REGS and KVM_SET_MANY_REGS is laid out beside it, in memory that the collector does not move.
/// </summary>
public sealed class RegisterBatch
{
    /// <summary>KVM_MANY_REGS_MAX_SIZE (16384 bytes of struct kvm_one_reg): the most registers of one call.</summary>
    public const int MaxRegisters = 1024;

    private readonly ulong[] _ids;
    private readonly int[] _offsets;
    private readonly byte[] _values;
    private readonly ulong[] _argument;

    /// <summary>Lays out a batch.</summary>
    /// <param name="ids">Register ids in the order of the call, each with its size in bits 52 to 55.</param>
    public RegisterBatch(ReadOnlySpan<ulong> ids)
        : this(ids.ToArray(), OffsetsOf(ids), null)
    {
    }

    private RegisterBatch(ulong[] ids, int[] offsets, byte[]? values)
    {
        _ids = ids;
        _offsets = offsets;
        _values = values ?? GC.AllocateArray<byte>(Math.Max(1, offsets[^1]), pinned: true);
        _argument = GC.AllocateArray<ulong>(1 + (2 * ids.Length), pinned: true);
        var valueAddress = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_values, 0);
        _argument[0] = (ulong)ids.Length;
        for (var i = 0; i < ids.Length; i++)
        {
            _argument[1 + (2 * i)] = ids[i];
            _argument[2 + (2 * i)] = valueAddress + (ulong)_offsets[i];
        }
    }

    /// <summary>How many registers.</summary>
    public int Count => _ids.Length;

    /// <summary>The ids in the order of the call.</summary>
    public ReadOnlySpan<ulong> Ids => _ids;

    /// <summary>All values, one after another without gaps.</summary>
    public Span<byte> Values => _values.AsSpan(_offsets[0], _offsets[^1] - _offsets[0]);

    /// <summary>
    /// How many registers the last call did before it failed, where the kernel says so (KVM_CAP_MANY_REGS); null where it does
    /// not, or where the call did all. Each <see cref="IVcpu"/> sets it.
    /// </summary>
    public int? Done { get; set; }

    /// <summary>struct kvm_many_regs in memory that does not move: the count, then (id, address) pairs.</summary>
    internal ReadOnlySpan<ulong> Argument => _argument;

    /// <summary>After a call: takes the count that the kernel may have left in place of the number of registers, and puts that back.</summary>
    internal void Settle()
    {
        Done = _argument[0] < (ulong)Count ? (int)_argument[0] : null;
        _argument[0] = (ulong)Count;
    }

    /// <summary>The value of one register.</summary>
    /// <param name="index">Its place in the order of the call.</param>
    public Span<byte> ValueOf(int index) => _values.AsSpan(_offsets[index], _offsets[index + 1] - _offsets[index]);

    /// <summary>A part of this batch, as a batch of its own over the same values.</summary>
    /// <param name="start">The place of its first register.</param>
    /// <param name="count">How many registers.</param>
    public RegisterBatch Slice(int start, int count) =>
        new(_ids.AsSpan(start, count).ToArray(), _offsets.AsSpan(start, count + 1).ToArray(), _values);

    private static int[] OffsetsOf(ReadOnlySpan<ulong> ids)
    {
        var offsets = new int[ids.Length + 1];
        for (var i = 0; i < ids.Length; i++)
            offsets[i + 1] = offsets[i] + SizeOf(ids[i]);
        return offsets;
    }

    /// <summary>The size in bytes that a register's id says: 1 to 2048.</summary>
    public static int SizeOf(ulong id) => 1 << (int)((id >> 52) & 0xf);
}
