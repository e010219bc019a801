using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The one thread that touches the disk for a machine, one thing after another. Where vCPUs outnumber processors a thread that
/// wakes waits for a time slice of each guest before it; so all of a checkpoint's storing stays on this thread, and it runs
/// ahead of the guests where the process may do that. It needs a processor for a few milliseconds a checkpoint.
/// </summary>
internal sealed class StoreThread : IActivity
{
    /// <summary>Nice value of threads that need a processor for moments and must not wait behind guests for it.</summary>
    internal const int AheadOfGuests = -10;

    private readonly Lock _gate = new();
    private readonly Queue<Action> _work = new();
    private readonly WakeSignal _wake = new();
    private readonly TimeProvider _time;
    private readonly IActivityThread _thread;
    private readonly TaskCompletionSource _ended;
    private (Action Work, long Begun, TimeSpan After)? _later;
    private bool _isClosed;

    public StoreThread(TimeProvider time, IEngineThreads? threads = null)
    {
        _time = time;
        threads ??= EngineThreads.Own;
        _thread = threads.For(this);
        _ended = new TaskCompletionSource(threads.Completion);
    }

    string IActivity.Name => "store";

    WakeSignal? IActivity.Signal => _wake;

    /// <summary>Starts the thread.</summary>
    public void Start() => _thread.Start();

    /// <summary>Ends when everything that was posted is done and the thread is closed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Does this after all that was posted before; it must not throw.</summary>
    public void Post(Action work)
    {
        lock (_gate)
            _work.Enqueue(work);
        _thread.Wake();
    }

    /// <summary>
    /// Does this after a time, in place of what was to be done later before; work that comes meanwhile is done first. A timer's
    /// own thread, and the one that it hands the work to, would each wait behind the guests.
    /// </summary>
    public void PostLater(Action work, TimeSpan after)
    {
        lock (_gate)
            _later = (work, _time.GetTimestamp(), after);
        _thread.Wake();
    }

    /// <summary>
    /// Does work that takes a processor for long, on this thread: guests do not have to wait for it longer than for each other.
    /// </summary>
    public static T BesideGuests<T>(Func<T> work)
    {
        ThreadNiceness.TrySet(ThreadNiceness.OfProcess);
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
        _thread.Wake();
    }

    void IActivity.Run()
    {
        ThreadNiceness.TryGoAhead(AheadOfGuests);
        while (Step(out var pause))
        {
            if (pause is not { } atMost)
                continue;
            if (atMost == Timeout.InfiniteTimeSpan)
                _wake.Wait();
            else
                _wake.Wait(atMost);
        }
    }

    public bool Step(out TimeSpan? pause)
    {
        if (!Take(out var next, out pause))
        {
            _ended.SetResult();
            return false;
        }

        next?.Invoke();
        return true;
    }

    // What to do next; where there is nothing, how long to wait for it.
    private bool Take(out Action? next, out TimeSpan? pause)
    {
        pause = null;
        lock (_gate)
        {
            if (_work.TryDequeue(out next))
                return true;
            if (_isClosed)
                return false;
            pause = Timeout.InfiniteTimeSpan;
            if (_later is { } later)
            {
                var rest = later.After - _time.GetElapsedTime(later.Begun);
                if (rest > TimeSpan.Zero)
                {
                    pause = rest;
                }
                else
                {
                    pause = null;
                    next = later.Work;
                    _later = null;
                }
            }

            return true;
        }
    }
}
