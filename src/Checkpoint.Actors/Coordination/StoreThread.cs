using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The one thread that touches the disk for a machine, one thing after another. Where vCPUs outnumber processors a thread that
/// wakes waits for a time slice of each guest before it; so all of a checkpoint's storing stays on this thread, and it runs
/// ahead of the guests where the process may do that. It needs a processor for a few milliseconds a checkpoint.
/// </summary>
internal sealed class StoreThread(TimeProvider time)
{
    private const int AheadOfGuests = -10;
    private const int WithGuests = 0;

    private readonly Lock _gate = new();
    private readonly Queue<Action> _work = new();
    private readonly WakeSignal _wake = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private (Action Work, long Begun, TimeSpan After)? _later;
    private bool _isClosed;

    /// <summary>Starts the thread.</summary>
    public void Start() => new Thread(Run) { IsBackground = true, Name = "store" }.Start();

    /// <summary>Ends when everything that was posted is done and the thread is closed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Does this after all that was posted before; it must not throw.</summary>
    public void Post(Action work)
    {
        lock (_gate)
            _work.Enqueue(work);
        _wake.Set();
    }

    /// <summary>
    /// Does this after a time, in place of what was to be done later before; work that comes meanwhile is done first. A timer's
    /// own thread, and the one that it hands the work to, would each wait behind the guests.
    /// </summary>
    public void PostLater(Action work, TimeSpan after)
    {
        lock (_gate)
            _later = (work, time.GetTimestamp(), after);
        _wake.Set();
    }

    /// <summary>
    /// Does work that takes a processor for long, on this thread: guests do not have to wait for it longer than for each other.
    /// </summary>
    public static T BesideGuests<T>(Func<T> work)
    {
        ThreadNiceness.TrySet(WithGuests);
        try
        {
            return work();
        }
        finally
        {
            ThreadNiceness.TrySet(AheadOfGuests);
        }
    }

    /// <summary>Takes no more work; what waits is done.</summary>
    public void Close()
    {
        lock (_gate)
            _isClosed = true;
        _wake.Set();
    }

    private void Run()
    {
        ThreadNiceness.TrySet(AheadOfGuests);
        while (Take(out var next, out var atMost))
        {
            if (next is not null)
                next();
            else if (atMost is { } time)
                _wake.Wait(time);
            else
                _wake.Wait();
        }

        _ended.SetResult();
    }

    // What to do next; where there is nothing, how long to wait for it.
    private bool Take(out Action? next, out TimeSpan? atMost)
    {
        atMost = null;
        lock (_gate)
        {
            if (_work.TryDequeue(out next))
                return true;
            if (_isClosed)
                return false;
            if (_later is { } later)
            {
                var rest = later.After - time.GetElapsedTime(later.Begun);
                if (rest > TimeSpan.Zero)
                {
                    atMost = rest;
                }
                else
                {
                    next = later.Work;
                    _later = null;
                }
            }

            return true;
        }
    }
}
