using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device;

/// <summary>What memory slots may be, and which one an address is in; the same wherever the memory lies.</summary>
internal static class MemorySlots
{
    /// <summary>Refuses slots that are not whole pages, go beyond the last address or overlap.</summary>
    internal static void Check(IReadOnlyList<MemoryRegion> regions, ulong pageBytes)
    {
        var end = 0UL;
        foreach (var region in regions.OrderBy(region => region.GuestAddress))
        {
            if (region.SizeBytes == 0 || region.SizeBytes % pageBytes != 0 || region.GuestAddress % pageBytes != 0)
                throw new ArgumentException($"Slot {region.Slot} is not made of whole pages of {pageBytes} bytes.", nameof(regions));
            if (region.SizeBytes > long.MaxValue || region.GuestAddress > ulong.MaxValue - region.SizeBytes)
                throw new ArgumentException($"Slot {region.Slot} goes beyond the last address.", nameof(regions));
            if (region.GuestAddress < end)
                throw new ArgumentException($"Slot {region.Slot} overlaps the one before it.", nameof(regions));
            end = region.GuestAddress + region.SizeBytes;
        }
    }

    /// <summary>The place of the slot that a range is inside of.</summary>
    /// <param name="regions">The slots in ascending order of guest address.</param>
    /// <param name="guestAddress">The first byte.</param>
    /// <param name="length">How many bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside one slot.</exception>
    internal static int Find(ReadOnlySpan<MemoryRegion> regions, ulong guestAddress, ulong length)
    {
        for (var i = 0; i < regions.Length && guestAddress >= regions[i].GuestAddress; i++)
        {
            // Differences instead of sums: an address near the end of the number range does not wrap into a slot.
            var offset = guestAddress - regions[i].GuestAddress;
            if (offset <= regions[i].SizeBytes && length <= regions[i].SizeBytes - offset)
                return i;
        }

        throw new ArgumentOutOfRangeException(
            nameof(guestAddress), $"The {length} bytes from guest address 0x{guestAddress:x} are not inside one memory slot.");
    }
}
