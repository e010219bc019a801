using Checkpoint.Actors.Coordination;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>
/// What a machine's listeners are told of its store: one after another, in the order in which it happened, and on a thread that
/// no actor and no guest waits for. Listeners are the user's, and take as long as they like.
/// </summary>
internal sealed class StoreNotices : IDisposable
{
    private readonly Action<MachineNotice> _tell;
    private readonly Lock _gate = new();
    private Task _told = Task.CompletedTask;

    /// <summary>Nothing is watched yet.</summary>
    /// <param name="deadline">How long a piece of the store's work may take before it is told of.</param>
    /// <param name="time">The clock.</param>
    /// <param name="tell">Tells the listeners.</param>
    public StoreNotices(TimeSpan deadline, TimeProvider time, Action<MachineNotice> tell)
    {
        _tell = tell;
        Parts = new StoreWatch(deadline, time, Tell);
        Journal = new StoreWatch(deadline, time, Tell);
    }

    /// <summary>Watches the store thread while it stores a checkpoint's parts.</summary>
    public StoreWatch Parts { get; }

    /// <summary>Watches the actor system's journal while it has a write to answer, which may be another's than the parts': a pin, for instance.</summary>
    public StoreWatch Journal { get; }

    /// <summary>Tells of it after all that was told before.</summary>
    public void Tell(MachineNotice notice)
    {
        lock (_gate)
            _told = _told.ContinueWith(_ => _tell(notice), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    public void Dispose()
    {
        Parts.Dispose();
        Journal.Dispose();
    }
}
