using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// Copies pages after the pause as they were in it. The units that they lie in are protected against writes; who writes to one of them waits
/// until its pages are copied, the others are copied one after another.
/// </summary>
/// <remarks>
/// <code>
///   Open ──▶ Protect (in the pause) ──▶ units are copied: when somebody writes, or by Complete ──▶ Dispose
/// </code>
/// Where a copy fails nothing is protected any more, so that nobody waits for ever, and <see cref="Complete"/> says why.
/// </remarks>
internal sealed class ProtectedCopy : IDisposable
{
    private readonly Lock _gate = new();
    private readonly ImmutableArray<MemoryRegion> _regions;
    private readonly PageBuffer _buffer;
    private readonly PageSet _pages;
    private readonly bool[][] _waiting;
    private readonly IWriteProtection? _protection;
    private bool _isUsed;
    private Exception? _failure;

    private ProtectedCopy(IGuestMemory memory, PageBuffer buffer, PageSet pages, out string? obstacle)
    {
        _regions = memory.Regions;
        _buffer = buffer;
        _pages = pages;
        _waiting = [.. _regions.Select(region => new bool[UnitAt(region, region.GuestAddress + region.SizeBytes - 1) + 1])];
        memory.TryProtectWrites(OnWrite, out _protection, out obstacle);
    }

    /// <summary>Prepares it, while the guest runs.</summary>
    /// <param name="memory">The memory.</param>
    /// <param name="buffer">Takes the copies.</param>
    /// <param name="pages">Which pages, once <see cref="Protect"/> is called; the owner leaves the set alone until the end.</param>
    /// <param name="obstacle">Why writes cannot be protected here.</param>
    public static ProtectedCopy? Open(IGuestMemory memory, PageBuffer buffer, PageSet pages, out string? obstacle)
    {
        var copy = new ProtectedCopy(memory, buffer, pages, out obstacle);
        return copy._protection is null ? null : copy;
    }

    /// <summary>Protects the units that hold any of the pages; the guest must be parked. It allocates nothing.</summary>
    /// <returns>How many pages there are.</returns>
    public long Protect()
    {
        _isUsed = true;
        var count = 0L;
        for (var region = 0; region < _regions.Length; region++)
        {
            for (var page = 0L; _pages.TryNextRun(region, ref page, out var run); page += run)
            {
                count += run;
                for (var unit = UnitOf(region, page); unit <= UnitOf(region, page + run - 1); unit++)
                    _waiting[region][unit] = true;
            }

            // Neighbours with one call.
            for (var unit = 0; unit < _waiting[region].Length; unit++)
            {
                if (!_waiting[region][unit])
                    continue;
                var (start, end) = RangeOf(region, unit);
                while (unit + 1 < _waiting[region].Length && _waiting[region][unit + 1])
                    end = RangeOf(region, ++unit).End;
                _protection!.Protect(start, end - start);
            }
        }

        return count;
    }

    /// <summary>Copies what nobody has written to yet, and returns when all is copied.</summary>
    /// <exception cref="InsufficientPageBufferException">There is no room left.</exception>
    public void Complete()
    {
        for (var region = 0; region < _regions.Length; region++)
        {
            for (var unit = 0; unit < _waiting[region].Length; unit++)
            {
                if (Volatile.Read(ref _waiting[region][unit]))
                    Take(region, unit);
            }
        }

        lock (_gate)
        {
            if (_failure is { } failure)
                throw failure;
        }
    }

    /// <summary>Lets all writers go on; what is not copied is given up.</summary>
    public void Dispose()
    {
        try
        {
            if (_isUsed)
                ReleaseAll();
        }
        finally
        {
            // It lets everybody go on, too.
            _protection!.Dispose();
        }
    }

    private void OnWrite(ulong guestAddress)
    {
        var region = MemorySlots.Find(_regions.AsSpan(), guestAddress, 1);
        Take(region, UnitAt(_regions[region], guestAddress));
    }

    private void Take(int region, int unit)
    {
        var (start, end) = RangeOf(region, unit);
        lock (_gate)
        {
            if (_waiting[region][unit])
            {
                var first = (long)((start - _regions[region].GuestAddress) / MemoryRegion.PageBytes);
                try
                {
                    _buffer.Copy(_pages, region, first, first + (long)((end - start) / MemoryRegion.PageBytes), CancellationToken.None);
                }
                catch (Exception failure)
                {
                    _failure ??= failure;
                }

                _waiting[region][unit] = false;
            }
        }

        try
        {
            // Also where it is copied already: a writer that was late to tell waits here, too.
            _protection!.Unprotect(start, end - start);
        }
        catch (Exception failure)
        {
            lock (_gate)
                _failure ??= failure;
            throw;
        }

        if (Volatile.Read(ref _failure) is not null)
            ReleaseAll();
    }

    private void ReleaseAll()
    {
        lock (_gate)
        {
            foreach (var waiting in _waiting)
                Array.Clear(waiting);
        }

        foreach (var region in _regions)
            _protection!.Unprotect(region.GuestAddress, region.SizeBytes);
    }

    private static int UnitAt(MemoryRegion region, ulong guestAddress) =>
        (int)((guestAddress / IWriteProtection.UnitBytes) - (region.GuestAddress / IWriteProtection.UnitBytes));

    private int UnitOf(int region, long page) => UnitAt(_regions[region], _regions[region].GuestAddress + ((ulong)page * MemoryRegion.PageBytes));

    private (ulong Start, ulong End) RangeOf(int region, int unit)
    {
        var (start, size) = (_regions[region].GuestAddress, _regions[region].SizeBytes);
        var first = ((start / IWriteProtection.UnitBytes) + (ulong)unit) * IWriteProtection.UnitBytes;
        return (Math.Max(start, first), Math.Min(start + size, first + IWriteProtection.UnitBytes));
    }
}
