using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Memory;

// What comes in before anybody asks for it.
public abstract partial class MemoryFilling
{
    private const long BytesOfOneThread = 64 << 20;

    // A guest that runs asks sooner, or need not.
    private static readonly TimeSpan s_headStart = TimeSpan.FromMilliseconds(3);

    private List<Thread>? _background;
    private Timer? _headStart;
    private bool _wantsBackground;
    private volatile bool _isAskedFor;

    /// <summary>Brings in what is missing, on the calling thread, and returns when all is there.</summary>
    /// <param name="cancellationToken">Ends the call; memory goes on to come when it is touched.</param>
    /// <exception cref="GuestMemoryException">It cannot be brought in.</exception>
    public void FillRest(CancellationToken cancellationToken = default)
    {
        _isAskedFor = true;
        for (var region = 0; region < _units.Length && !_isComplete; region++)
        {
            for (var unit = 0; unit < _units[region].Length; unit++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (Volatile.Read(ref _units[region][unit]) == Missing)
                    TryBring(region, unit);
            }
        }

        // The last ones may still be on their way, by other threads.
        _ended.Task.Wait(cancellationToken);
        ThrowIfFailed();
    }

    /// <summary>
    /// Brings in ahead, on the calling thread, what will be asked for first; an address where nothing is missing is none. It is not asked for by that:
    /// the rest waits until somebody does. What cannot be brought in stops the machine, as always.
    /// </summary>
    /// <param name="guestAddress">Guest physical address.</param>
    public void Expect(ulong guestAddress)
    {
        for (var region = 0; region < Regions.Length; region++)
        {
            if (guestAddress - Regions[region].GuestAddress >= Regions[region].SizeBytes)
                continue;
            try
            {
                TryBring(region, UnitAt(Regions[region].GuestAddress, guestAddress));
            }
            catch (GuestMemoryException)
            {
                // It has stopped the machine, and everybody who asks is told.
            }
        }
    }

    /// <summary>
    /// Brings in what is missing on threads of its own, from 3 ms after this call on, or sooner, when a unit that was asked for has come: until then the
    /// guest has the processors for itself. What they find damaged stops the machine, touched or not.
    /// </summary>
    public void FillInBackground()
    {
        lock (_gate)
        {
            _wantsBackground = true;
            if (!_isDisposed)
                _headStart ??= new Timer(static filling => ((MemoryFilling)filling!).EndHeadStart(), this, s_headStart, Timeout.InfiniteTimeSpan);
        }

        if (_isAskedFor && FilledBytes > 0)
            StartBackground();
    }

    private void StartBackground()
    {
        lock (_gate)
        {
            if (!_wantsBackground || _background is not null || _isDisposed || _missing == 0 || _failure is not null)
                return;
            var count = TotalBytes > BytesOfOneThread ? Math.Min(2, Environment.ProcessorCount) : 1;
            _background = new List<Thread>(count);
            for (var i = 0; i < count; i++)
            {
                var thread = new Thread(RunInBackground) { IsBackground = true, Name = "memory filling" };
                try
                {
                    thread.Start();
                }
                catch (OutOfMemoryException) when (i > 0)
                {
                    // The process may have no more threads; one brings in everything, too.
                    break;
                }

                _background.Add(thread);
            }
        }
    }

    // By a timer of the system's: how soon the rest comes is nobody's to simulate.
    private void EndHeadStart()
    {
        try
        {
            StartBackground();
        }
        catch (Exception failure)
        {
            // No thread is to be had.
            Fail(failure);
        }
    }

    private void RunInBackground()
    {
        try
        {
            FillRest();
        }
        catch (GuestMemoryException)
        {
            // It has stopped the machine, and everybody who asks is told.
        }
    }
}
