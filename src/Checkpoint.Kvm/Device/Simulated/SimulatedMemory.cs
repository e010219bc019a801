using System.Collections.Immutable;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// Guest memory as managed arrays. Disposing forbids further access through it; the VM keeps its slots for as long as it lives.
/// </summary>
public sealed class SimulatedMemory : IGuestMemory
{
    private const int MaxWindowBytes = 1 << 30;

    private bool _isDisposed;

    private SimulatedMemory(ImmutableArray<SimulatedSlot> slots)
    {
        Slots = slots;
        Regions = [.. slots.Select(slot => slot.Region)];
    }

    /// <inheritdoc/>
    public ImmutableArray<MemoryRegion> Regions { get; }

    internal ImmutableArray<SimulatedSlot> Slots { get; }

    /// <summary>Makes zeroed memory without a machine.</summary>
    /// <param name="regions">The slots; page aligned, not overlapping, each less than 16 GiB.</param>
    public static SimulatedMemory Create(IReadOnlyList<MemoryRegion> regions)
    {
        ArgumentNullException.ThrowIfNull(regions);
        var end = 0UL;
        foreach (var region in regions.OrderBy(region => region.GuestAddress))
        {
            if (region.SizeBytes == 0 || region.SizeBytes % MemoryRegion.PageBytes != 0 || region.GuestAddress % MemoryRegion.PageBytes != 0)
                throw new ArgumentException($"Slot {region.Slot} is not made of whole pages of {MemoryRegion.PageBytes} bytes.", nameof(regions));
            if (region.SizeBytes > long.MaxValue || region.GuestAddress > ulong.MaxValue - region.SizeBytes)
                throw new ArgumentException($"Slot {region.Slot} goes beyond the last address.", nameof(regions));
            if (region.GuestAddress < end)
                throw new ArgumentException($"Slot {region.Slot} overlaps the one before it.", nameof(regions));
            end = region.GuestAddress + region.SizeBytes;
        }

        return new SimulatedMemory([.. regions.OrderBy(region => region.GuestAddress).Select(region => new SimulatedSlot(region))]);
    }

    /// <inheritdoc/>
    public void Read(ulong guestAddress, Span<byte> destination)
    {
        var slot = Find(guestAddress, (ulong)destination.Length);
        ThrowIfDisposed();
        slot.From(guestAddress - slot.Region.GuestAddress, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    /// <remarks>As on KVM, a write by the host is not in the dirty log.</remarks>
    public void Write(ulong guestAddress, ReadOnlySpan<byte> source)
    {
        var slot = Find(guestAddress, (ulong)source.Length);
        ThrowIfDisposed();
        source.CopyTo(slot.From(guestAddress - slot.Region.GuestAddress, source.Length));
    }

    /// <inheritdoc/>
    public Memory<byte> Window(ulong guestAddress, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, MaxWindowBytes);
        var slot = Find(guestAddress, (ulong)length);
        ThrowIfDisposed();
        return new SimulatedWindow(this, slot, guestAddress - slot.Region.GuestAddress, length).Memory;
    }

    /// <inheritdoc/>
    public void Dispose() => _isDisposed = true;

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);

    private SimulatedSlot Find(ulong guestAddress, ulong length)
    {
        foreach (var slot in Slots)
        {
            // Differences instead of sums: an address near the end of the number range does not wrap into a slot.
            if (guestAddress < slot.Region.GuestAddress)
                break;
            var offset = guestAddress - slot.Region.GuestAddress;
            if (offset <= slot.Region.SizeBytes && length <= slot.Region.SizeBytes - offset)
                return slot;
        }

        throw new ArgumentOutOfRangeException(
            nameof(guestAddress), $"The {length} bytes from guest address 0x{guestAddress:x} are not inside one memory slot.");
    }
}
