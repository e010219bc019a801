using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Interop;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// Guest memory in this process: one mapping a slot. Disposing forbids further access through it; the pages themselves go
/// when the VM whose slots they are has been closed.
/// </summary>
public sealed class LinuxGuestMemory : IGuestMemory
{
    private const int MaxWindowBytes = 1 << 30;

    private readonly VmFailure? _vcpus;
    private volatile UserfaultFilling? _filling;
    private volatile bool _isDisposed;
    private volatile LinuxWriteProtection? _protection;

    private LinuxGuestMemory(ImmutableArray<Slot> slots, VmFailure? vcpus)
    {
        Slots = slots;
        _vcpus = vcpus;
        Regions = [.. slots.Select(slot => slot.Region)];
    }

    /// <inheritdoc/>
    public ImmutableArray<MemoryRegion> Regions { get; }

    /// <inheritdoc/>
    public bool IsAdopted { get; private init; }

    /// <inheritdoc/>
    public WrittenPages? Written { get; set; }

    /// <inheritdoc/>
    public MemoryFilling? Filling => _filling;

    /// <inheritdoc/>
    public bool PrefersLazyFill => true;

    internal ImmutableArray<Slot> Slots { get; }

    /// <param name="regions">The slots.</param>
    /// <param name="vcpus">Where the vCPUs of the VM are told that memory does not come; null for memory of no VM.</param>
    internal static LinuxGuestMemory Create(IReadOnlyList<MemoryRegion> regions, VmFailure? vcpus = null)
    {
        ArgumentNullException.ThrowIfNull(regions);
        MemorySlots.Check(regions, (ulong)Environment.SystemPageSize);
        var slots = ImmutableArray.CreateBuilder<Slot>(regions.Count);
        try
        {
            foreach (var region in regions.OrderBy(region => region.GuestAddress))
                slots.Add(new Slot(region, Mapping.OfZeros(region.SizeBytes, region.GuestAddress)));
            return new LinuxGuestMemory(slots.ToImmutable(), vcpus);
        }
        catch
        {
            foreach (var slot in slots)
                slot.Mapping.Dispose();
            throw;
        }
    }

    internal static LinuxGuestMemory Adopt(IReadOnlyList<AdoptedRegion> regions)
    {
        ArgumentNullException.ThrowIfNull(regions);
        MemorySlots.Check([.. regions.Select(adopted => adopted.Region)], (ulong)Environment.SystemPageSize);
        if (regions.Any(adopted => adopted.HostAddress is 0 or -1))
            throw new ArgumentException("An adopted region has no host address.", nameof(regions));
        return new LinuxGuestMemory([.. regions
            .OrderBy(adopted => adopted.Region.GuestAddress)
            .Select(adopted => new Slot(adopted.Region, Mapping.Adopt(adopted.HostAddress, adopted.Region.SizeBytes)))], null) { IsAdopted = true };
    }

    /// <inheritdoc/>
    public bool TryFillLazily(IPageSource source, [NotNullWhen(false)] out string? obstacle)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_filling is not null)
            throw new InvalidOperationException("This memory is being filled already.");
        if (_vcpus is null)
        {
            obstacle = "this memory was mapped by somebody else";
            return false;
        }

        if (!Userfaultfd.TryOpen(out var userfaultfd, out obstacle))
            return false;
        _filling = new UserfaultFilling(this, _vcpus, userfaultfd, source);
        return true;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Who writes through <see cref="Window"/> meanwhile waits in a page fault, and where that is managed code the next garbage collection waits
    /// with it, and so may whoever could end it: use <see cref="Write"/> and <see cref="Fill"/>.
    /// </remarks>
    public bool TryProtectWrites(
        Action<ulong> onWrite, [NotNullWhen(true)] out IWriteProtection? protection, [NotNullWhen(false)] out string? obstacle)
    {
        ArgumentNullException.ThrowIfNull(onWrite);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        protection = null;
        if (_protection is not null)
        {
            obstacle = "its writes are protected already";
            return false;
        }

        // The kernel lets one userfaultfd after the other have the memory.
        _filling?.WaitUntilClosed();
        if (!LinuxWriteProtection.TryOpen(Slots, onWrite, () => _protection = null, out var opened, out obstacle))
            return false;
        protection = _protection = opened;
        return true;
    }

    /// <inheritdoc/>
    public unsafe void Read(ulong guestAddress, Span<byte> destination)
    {
        var slot = Find(guestAddress, (ulong)destination.Length);
        var held = false;
        try
        {
            // The mapping is held for the copy, and Find has seen that the whole range lies inside it.
            slot.Mapping.DangerousAddRef(ref held);
            _filling?.Demand(guestAddress, (ulong)destination.Length);
            new ReadOnlySpan<byte>(slot.At(guestAddress), destination.Length).CopyTo(destination);
        }
        finally
        {
            if (held)
                slot.Mapping.DangerousRelease();
        }
    }

    /// <inheritdoc/>
    public unsafe void Write(ulong guestAddress, ReadOnlySpan<byte> source)
    {
        var slot = Find(guestAddress, (ulong)source.Length);
        _protection?.BeforeWrite(guestAddress, (ulong)source.Length);
        var held = false;
        try
        {
            // The mapping is held for the copy, and Find has seen that the whole range lies inside it.
            slot.Mapping.DangerousAddRef(ref held);
            _filling?.Demand(guestAddress, (ulong)source.Length);
            source.CopyTo(new Span<byte>(slot.At(guestAddress), source.Length));
            Written?.Mark(guestAddress, (ulong)source.Length);
        }
        finally
        {
            if (held)
                slot.Mapping.DangerousRelease();
        }
    }

    /// <inheritdoc/>
    public void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        var window = Window(guestAddress, length).Span;
        _protection?.BeforeWrite(guestAddress, (ulong)length);
        write(window, state);
        Written?.Mark(guestAddress, (ulong)length);
    }

    /// <summary>
    /// The host's view of a range, without a copy; what of it is not there yet is brought in first. It is valid until the memory is disposed of. Who writes through it says so with
    /// <see cref="WrittenPages.Mark"/>.
    /// </summary>
    /// <param name="guestAddress">Guest physical address.</param>
    /// <param name="length">Bytes, at most 1 GiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside one slot.</exception>
    public unsafe Memory<byte> Window(ulong guestAddress, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, MaxWindowBytes);
        var slot = Find(guestAddress, (ulong)length);
        _filling?.Demand(guestAddress, (ulong)length);
        return new GuestWindow(slot.Mapping, slot.At(guestAddress), length).Memory;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _filling?.Dispose();
        foreach (var slot in Slots)
            slot.Mapping.Dispose();
    }

    private Slot Find(ulong guestAddress, ulong length)
    {
        // The mappings may live on with the VM; what is asked for through this object must not depend on that.
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return Slots[MemorySlots.Find(Regions.AsSpan(), guestAddress, length)];
    }

    internal sealed record Slot(MemoryRegion Region, Mapping Mapping)
    {
        internal unsafe ulong HostAddress => (ulong)Mapping.Address;

        // The caller has checked the range and holds the mapping.
        internal unsafe byte* At(ulong guestAddress) => Mapping.Address + (guestAddress - Region.GuestAddress);
    }
}
