using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// One table that maps 512 GiB to itself in blocks of 1 GiB (Arm Architecture Reference Manual, D8: translation granule 4 KiB,
/// 39 bits of address, so the walk begins at level 1): memory is normal and cacheable, as SWPAL asks, the last block device.
/// </summary>
internal static class Arm64PageTable
{
    public const ulong Bytes = 4096;

    /// <summary>Everything below can be memory.</summary>
    public const ulong DeviceBlock = (Blocks - 1) * BlockBytes;

    /// <summary>MAIR_EL1: attribute 0 is normal memory, write-back and allocating; attribute 1 device memory, nGnRE.</summary>
    public const ulong MemoryAttributes = 0x04ff;

    /// <summary>
    /// TCR_EL1: 39 bits through TTBR0 (T0SZ 25), walks cacheable and inner shareable, none through TTBR1 (EPD1), 40 bits of
    /// physical address (IPS 2), which is what KVM gives a VM unless asked for another size.
    /// </summary>
    public const ulong Control = 25 | (1UL << 8) | (1UL << 10) | (3UL << 12) | (1UL << 23) | (2UL << 32);

    private const ulong Blocks = 512;
    private const ulong BlockBytes = 1UL << 30;

    // A block's descriptor: valid, writable at EL1 only, and accessed from the start, so that nothing ever writes to the table.
    private const ulong Block = 1;
    private const ulong InnerShareable = 3UL << 8;
    private const ulong Accessed = 1UL << 10;
    private const ulong DeviceAttribute = 1UL << 2;
    private const ulong NeverExecuted = 3UL << 53;

    public static byte[] Create()
    {
        var table = new byte[Bytes];
        for (var i = 0UL; i < Blocks; i++)
        {
            var attributes = i * BlockBytes == DeviceBlock ? DeviceAttribute | NeverExecuted : InnerShareable;
            BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan((int)i * 8), (i * BlockBytes) | Accessed | attributes | Block);
        }

        return table;
    }
}
