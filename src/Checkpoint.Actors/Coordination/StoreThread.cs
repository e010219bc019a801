using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The one thread that touches the disk for a machine, one thing after another. Where vCPUs outnumber processors a thread that
/// wakes waits for a time slice of each guest before it; so all of a checkpoint's storing stays on this thread, and it runs
/// ahead of the guests where the process may do that. It needs a processor for a few milliseconds a checkpoint.
/// </summary>
internal sealed class StoreThread
{
    private const int AheadOfGuests = -10;

    private readonly Lock _gate = new();
    private readonly Queue<Action> _work = new();
    private readonly WakeSignal _wake = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isClosed;

    public StoreThread() => new Thread(Run) { IsBackground = true, Name = "store" }.Start();

    /// <summary>Ends when everything that was posted is done and the thread is closed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Does this after all that was posted before; it must not throw.</summary>
    public void Post(Action work)
    {
        lock (_gate)
            _work.Enqueue(work);
        _wake.Set();
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
        while (true)
        {
            Action? next;
            lock (_gate)
            {
                if (!_work.TryDequeue(out next) && _isClosed)
                    break;
            }

            if (next is null)
                _wake.Wait();
            else
                next();
        }

        _ended.SetResult();
    }
}
