using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// Guest memory as managed arrays. Disposing forbids further access through it; the VM keeps its slots for as long as it lives.
/// </summary>
public sealed class SimulatedMemory : IGuestMemory
{
    private const int MaxFillBytes = 1 << 30;

    private readonly SimulatedSlots? _vm;
    private volatile SimulatedFilling? _filling;
    private bool _isDisposed;

    private SimulatedMemory(ImmutableArray<SimulatedSlot> slots, SimulatedSlots? vm)
    {
        _vm = vm;
        Slots = slots;
        Regions = [.. slots.Select(slot => slot.Region)];
    }

    /// <inheritdoc/>
    public ImmutableArray<MemoryRegion> Regions { get; }

    /// <inheritdoc/>
    public WrittenPages? Written { get; set; }

    /// <inheritdoc/>
    public MemoryFilling? Filling => _filling;

    internal ImmutableArray<SimulatedSlot> Slots { get; }

    /// <summary>Makes zeroed memory without a machine.</summary>
    /// <param name="regions">The slots; page aligned, not overlapping, each less than 16 GiB.</param>
    public static SimulatedMemory Create(IReadOnlyList<MemoryRegion> regions) => Create(regions, null);

    internal static SimulatedMemory Create(IReadOnlyList<MemoryRegion> regions, SimulatedSlots? vm)
    {
        ArgumentNullException.ThrowIfNull(regions);
        MemorySlots.Check(regions, MemoryRegion.PageBytes);
        return new SimulatedMemory([.. regions.OrderBy(region => region.GuestAddress).Select(region => new SimulatedSlot(region))], vm);
    }

    /// <inheritdoc/>
    public bool TryFillLazily(IPageSource source, [NotNullWhen(false)] out string? obstacle)
    {
        ThrowIfDisposed();
        if (_filling is not null)
            throw new InvalidOperationException("This memory is being filled already.");
        obstacle = _vm is null ? "this memory has no machine" : null;
        if (_vm is not null)
            _filling = new SimulatedFilling(this, _vm, source);
        return obstacle is null;
    }

    /// <inheritdoc/>
    public bool TryProtectWrites(
        Action<ulong> onWrite, [NotNullWhen(true)] out IWriteProtection? protection, [NotNullWhen(false)] out string? obstacle)
    {
        ThrowIfDisposed();
        obstacle = Array.Exists([.. Slots], slot => slot.AboutToWrite is not null) ? "its writes are protected already" : null;
        protection = obstacle is null ? new SimulatedWriteProtection(Slots, onWrite) : null;
        return protection is not null;
    }

    /// <inheritdoc/>
    public void Read(ulong guestAddress, Span<byte> destination)
    {
        var slot = Find(guestAddress, (ulong)destination.Length);
        ThrowIfDisposed();
        _filling?.Demand(guestAddress, (ulong)destination.Length);
        slot.From(guestAddress - slot.Region.GuestAddress, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    /// <remarks>As on KVM, a write by the host is not in the dirty log.</remarks>
    public void Write(ulong guestAddress, ReadOnlySpan<byte> source)
    {
        var slot = Find(guestAddress, (ulong)source.Length);
        ThrowIfDisposed();
        _filling?.Demand(guestAddress, (ulong)source.Length);
        AboutToWrite(slot, guestAddress, source.Length);
        source.CopyTo(slot.From(guestAddress - slot.Region.GuestAddress, source.Length));
        Written?.Mark(guestAddress, (ulong)source.Length);
    }

    /// <inheritdoc/>
    /// <remarks>As on KVM, a write by the host is not in the dirty log.</remarks>
    public void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, MaxFillBytes);
        var slot = Find(guestAddress, (ulong)length);
        ThrowIfDisposed();
        _filling?.Demand(guestAddress, (ulong)length);
        AboutToWrite(slot, guestAddress, length);
        write(slot.From(guestAddress - slot.Region.GuestAddress, length), state);
        Written?.Mark(guestAddress, (ulong)length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _filling?.Dispose();
    }

    private static void AboutToWrite(SimulatedSlot slot, ulong guestAddress, int length)
    {
        if (slot.AboutToWrite is not { } tell || length == 0)
            return;
        var first = guestAddress - slot.Region.GuestAddress;
        for (var page = first / MemoryRegion.PageBytes; page <= (first + (ulong)length - 1) / MemoryRegion.PageBytes; page++)
            tell(page * MemoryRegion.PageBytes);
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);

    private SimulatedSlot Find(ulong guestAddress, ulong length) => Slots[MemorySlots.Find(Regions.AsSpan(), guestAddress, length)];
}
