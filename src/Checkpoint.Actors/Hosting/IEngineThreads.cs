using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Hosting;

/// <summary>
/// What the engine's activities run on: threads that sleep while there is nothing to do, or a scheduler that decides which of
/// them takes the next step, and when. Everything that could make one history differ from another goes through this or the clock.
/// </summary>
internal interface IEngineThreads
{
    /// <summary>How the tasks that callers wait for are completed: with threads the waiter goes on elsewhere.</summary>
    TaskCreationOptions Completion { get; }

    /// <summary>A thread for an activity; it is not started yet.</summary>
    IActivityThread For(IActivity activity);

    /// <summary>
    /// To whom activities report: the listener itself, where a call that takes long keeps its caller's thread; else somebody who passes a report
    /// on when the calls of the one who made it are over.
    /// </summary>
    IParticipantListener ReportsTo(IParticipantListener listener);

    /// <summary>Does this beside everything else; it does not throw.</summary>
    void Run(Func<Task> work);

    /// <summary>
    /// Does this beside the caller. Whoever waits for the result goes on where it ends: there is nothing else to do there.
    /// </summary>
    Task<T> Beside<T>(Func<T> work)
    {
        var ended = new TaskCompletionSource<T>();
        Run(() =>
        {
            try
            {
                ended.SetResult(work());
            }
            catch (Exception failure)
            {
                ended.SetException(failure);
            }

            return Task.CompletedTask;
        });
        return ended.Task;
    }

    /// <summary>Random bytes: identities of checkpoints and of restored machines.</summary>
    void FillRandom(Span<byte> bytes);
}

/// <summary>What an activity runs on.</summary>
internal interface IActivityThread
{
    /// <summary>Lets it begin.</summary>
    void Start();

    /// <summary>There may be something to do. From any thread; it never waits.</summary>
    void Wake();
}

/// <summary>Something that goes on beside everything else, one step after another.</summary>
internal interface IActivity
{
    /// <summary>What its thread is called.</summary>
    string Name { get; }

    /// <summary>The signal by which it is woken; null for one that waits in its own way.</summary>
    WakeSignal? Signal { get; }

    /// <summary>Goes on until it has ended, on the calling thread, and waits where there is nothing to do.</summary>
    void Run();

    /// <summary>Does the next thing, if there is one now. It does not wait.</summary>
    /// <param name="pause">How long there is nothing to do unless it is woken: null for not at all.</param>
    /// <returns>False when it has ended.</returns>
    bool Step(out TimeSpan? pause);
}
