using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// Memory that comes in while the guest runs: what is touched first, and the rest behind its back. It comes in units of 2 MiB,
/// and a unit is there only when every page of it has been checked.
/// </summary>
/// <remarks>
/// <code>
///   Missing ──somebody wants it──▶ Coming ──read, checked, put in place──▶ There
///                                     └──cannot be read──▶ the filling has failed: nothing comes any more
/// </code>
/// The host asks through <see cref="Demand"/> before it touches memory; so no managed thread ever waits inside a page fault, where it
/// would keep a garbage collection waiting, and with it the thread that could end the fault. After a failure what is there stays
/// readable, what is missing throws, and no vCPU of the VM runs.
/// </remarks>
public abstract partial class MemoryFilling : IDisposable
{
    /// <summary>What comes in at a time; a huge page.</summary>
    public const int UnitBytes = 2 << 20;

    private const byte Missing = 0;
    private const byte Coming = 1;
    private const byte There = 2;

    private readonly object _gate = new();
    private readonly IPageSource _source;
    private readonly byte[][] _units;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile GuestMemoryException? _failure;
    private volatile bool _isComplete;
    private long _missing;
    private long _filledBytes;
    private int _users;
    private bool _isDisposed;

    private protected MemoryFilling(ImmutableArray<MemoryRegion> regions, IPageSource source)
    {
        Regions = regions;
        _source = source;
        _units = [.. regions.Select(region => new byte[UnitsOf(region)])];
        for (var region = 0; region < regions.Length; region++)
        {
            for (var unit = 0; unit < _units[region].Length; unit++)
            {
                var (address, length) = RangeOf(region, unit);
                if (!source.HasData(address, (ulong)length))
                {
                    _units[region][unit] = There;
                    continue;
                }

                _missing++;
                TotalBytes += length;
            }
        }
    }

    /// <summary>How many bytes come in; units that are all zeros are there from the start.</summary>
    public long TotalBytes { get; }

    /// <summary>How many of them have come.</summary>
    public long FilledBytes => Volatile.Read(ref _filledBytes);

    /// <summary>Whether all memory is there.</summary>
    public bool IsComplete => _isComplete;

    /// <summary>Why memory does not come any more; null while it does, and when all is there.</summary>
    public GuestMemoryException? Failure => _failure;

    /// <summary>Ends when all memory is there, or will not come any more; it never faults: <see cref="Failure"/> says which.</summary>
    public Task Ended => _ended.Task;

    private protected ImmutableArray<MemoryRegion> Regions { get; }

    /// <summary>Makes sure that a range is there, before it is read or written; the calling thread brings it in where nobody else is about to.</summary>
    /// <param name="guestAddress">Guest physical address.</param>
    /// <param name="length">Bytes; the range lies in one slot.</param>
    /// <exception cref="GuestMemoryException">It cannot be brought in.</exception>
    public void Demand(ulong guestAddress, ulong length)
    {
        if (_isComplete || length == 0)
            return;
        _isAskedFor = true;
        var region = MemorySlots.Find(Regions.AsSpan(), guestAddress, length);
        var start = Regions[region].GuestAddress;
        var last = UnitAt(start, guestAddress + length - 1);
        for (var unit = UnitAt(start, guestAddress); unit <= last; unit++)
        {
            if (!IsThere(region, unit) && !TryBring(region, unit))
                WaitFor(region, unit);
        }
    }

    /// <summary>Gives up what is missing, as a failure that ends the vCPUs; nothing happens where all is there.</summary>
    /// <param name="reason">Why, for those who ask for memory later.</param>
    public void GiveUp(string reason) => Fail(new OperationCanceledException(reason));

    /// <summary>Gives up what is missing, and returns when no thread of the filling runs and all that it held open is closed.</summary>
    public void Dispose()
    {
        GiveUp("it was disposed of before all of it was there");
        lock (_gate)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            while (_users > 0)
                Monitor.Wait(_gate);
        }

        _headStart?.Dispose();
        foreach (var thread in _background ?? [])
            thread.Join();
        Release();
        if (!_isComplete)
            _source.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Reads a unit and puts it where the guest finds it.</summary>
    private protected abstract void Place(int region, ulong guestAddress, int length);

    /// <summary>Stops the vCPUs of the VM, and ends every access that waits for memory.</summary>
    /// <param name="failure">Why.</param>
    private protected abstract void Stop(GuestMemoryException failure);

    /// <summary>All memory is there: what was needed to bring it in may go. Called once, on any thread, which must not be waited for.</summary>
    private protected abstract void OnComplete();

    /// <summary>Closes what is open; waits for threads of its own.</summary>
    private protected abstract void Release();

    private protected void ReadSource(ulong guestAddress, Span<byte> destination) => _source.Read(guestAddress, destination);

    /// <summary>Whether the unit at an address is there.</summary>
    private protected bool IsThereAt(int region, ulong guestAddress) => IsThere(region, UnitAt(Regions[region].GuestAddress, guestAddress));

    /// <summary>Brings in the unit at an address that the guest asks for, unless another thread is about to. It does not wait for others.</summary>
    private protected void BringAt(int region, ulong guestAddress)
    {
        _isAskedFor = true;
        TryBring(region, UnitAt(Regions[region].GuestAddress, guestAddress));
    }

    private protected void Fail(Exception reason)
    {
        GuestMemoryException failure;
        lock (_gate)
        {
            if (_isComplete || _failure is not null)
                return;
            // From here on nothing becomes There, so that what is there can be told from what never will be.
            _failure = failure = reason as GuestMemoryException ?? new GuestMemoryException(reason);
            _users++;
            Monitor.PulseAll(_gate);
        }

        Stop(failure);
        Leave();
        _ended.TrySetResult();
    }

    private void ThrowIfFailed()
    {
        if (_failure is { } failure)
            throw new GuestMemoryException(failure.InnerException!);
    }

    private bool TryBring(int region, int unit)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            if (_units[region][unit] != Missing)
                return _units[region][unit] == There;
            _units[region][unit] = Coming;
            _users++;
        }

        try
        {
            var (address, length) = RangeOf(region, unit);
            Place(region, address, length);
            return Arrive(region, unit, length);
        }
        catch (Exception failure) when (failure is not UnreachableException)
        {
            Fail(failure);
            throw new GuestMemoryException(_failure!.InnerException!);
        }
        finally
        {
            Leave();
            CompleteIfLast();
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            _users--;
            Monitor.PulseAll(_gate);
        }
    }

    private bool Arrive(int region, int unit, int length)
    {
        lock (_gate)
        {
            ThrowIfFailed();
            Volatile.Write(ref _units[region][unit], There);
            _filledBytes += length;
            _missing--;
            Monitor.PulseAll(_gate);
        }

        if (_isAskedFor)
            StartBackground();
        return true;
    }

    // After the last one, not with it: what is closed then must not be in use.
    private void CompleteIfLast()
    {
        lock (_gate)
        {
            if (_missing > 0 || _users > 0 || _isComplete || _failure is not null)
                return;
            _isComplete = true;
            _users++;
        }

        OnComplete();
        _source.Dispose();
        Leave();
        _ended.TrySetResult();
    }

    /// <summary>Completes at once where there is nothing to bring in; for the end of a constructor.</summary>
    private protected void Begin() => CompleteIfLast();

    private void WaitFor(int region, int unit)
    {
        lock (_gate)
        {
            while (_units[region][unit] != There)
            {
                ThrowIfFailed();
                Monitor.Wait(_gate);
            }
        }
    }
}
