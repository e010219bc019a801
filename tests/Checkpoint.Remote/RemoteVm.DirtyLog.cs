using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Remote;

/// <content>The dirty log; bitmaps travel behind the struct that points to them.</content>
internal sealed partial class RemoteVm
{
    private const uint LogDirtyPages = 1;

    public void SetDirtyLogging(uint slot, bool on)
    {
        var (region, address) = SlotOf(slot);
        var argument = new kvm_userspace_memory_region
        {
            slot = slot,
            flags = on ? region.Flags | LogDirtyPages : region.Flags,
            guest_phys_addr = region.GuestAddress,
            memory_size = region.SizeBytes,
            userspace_addr = address,
        };
        Give(KvmRequests.SetUserMemoryRegion, MemoryMarshal.AsBytes(new Span<kvm_userspace_memory_region>(ref argument)));
    }

    public void GetDirtyLog(uint slot, Span<ulong> bitmap)
    {
        ThrowIfDisposed();
        var at = Unsafe.SizeOf<kvm_dirty_log>();
        var argument = new byte[at + (bitmap.Length * sizeof(ulong))];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, slot);
        _agent.System.Call(_fd, KvmRequests.GetDirtyLog, argument, MemoryMarshal.AsBytes(bitmap), fetchFrom: at, relocate: static (bytes, address) =>
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(Unsafe.SizeOf<kvm_dirty_log>() - sizeof(ulong))..], address + (ulong)Unsafe.SizeOf<kvm_dirty_log>()));
    }

    public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap)
    {
        ThrowIfDisposed();
        var at = Unsafe.SizeOf<kvm_clear_dirty_log>();
        var argument = new byte[at + (bitmap.Length * sizeof(ulong))];
        BinaryPrimitives.WriteUInt32LittleEndian(argument, slot);
        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(4), pages);
        BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(8), firstPage);
        MemoryMarshal.AsBytes(bitmap).CopyTo(argument.AsSpan(at));
        _agent.System.Call(_fd, KvmRequests.ClearDirtyLog, argument, [], relocate: static (bytes, address) =>
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(Unsafe.SizeOf<kvm_clear_dirty_log>() - sizeof(ulong))..], address + (ulong)Unsafe.SizeOf<kvm_clear_dirty_log>()));
    }

    private (Protocol.State.MemoryRegion Region, ulong Address) SlotOf(uint slot)
    {
        lock (_memories)
        {
            foreach (var memory in _memories)
            {
                foreach (var each in memory.Slots)
                {
                    if (each.Region.Slot == slot)
                        return each;
                }
            }
        }

        throw new ArgumentException($"This VM knows no memory slot {slot}.", nameof(slot));
    }
}
