using Akka.Actor;
using Checkpoint.Actors.Akka.Coordination;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Akka.Machines;

/// <summary>The engine inside an actor system: events go through its Akka.Persistence, everything else through the store.</summary>
/// <param name="engine">The engine's actor.</param>
/// <param name="engineEnded">Ends when that actor has: it answers nobody any more.</param>
/// <param name="store">The store that the journal must write.</param>
/// <param name="settings">The actor system's.</param>
/// <param name="fence">Waits for the journal.</param>
/// <param name="time">The clock.</param>
internal sealed class ActorSystemHost(
    IActorRef engine, Task engineEnded, CheckpointStore store, CheckpointSettings settings, JournalFence fence, TimeProvider time) : IEngineHost
{
    private const string EngineEnded = "the engine's actor, /user/checkpoint, has ended; start the actor system again";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public CoordinatorOptions Defaults => settings.Coordinator;

    public async Task<AppendOutcome> AppendAsync(IMachineLock held, JournalHead expected, MachineEvent @event, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var append = new StreamAppend(held.Vm, expected, @event, settings);
        engine.Tell(append);
        await Task.WhenAny(append.Ended.Task, engineEnded).ConfigureAwait(false);
        // A writer ends before its parent: what has not ended by then was never begun.
        append.Ended.TrySetResult(new AppendOutcome.Refused(EngineEnded));
        var outcome = await append.Ended.Task.ConfigureAwait(false);
        return outcome is AppendOutcome.Unknown unknown ? await SettleAsync(held, expected, @event, unknown).ConfigureAwait(false) : outcome;
    }

    // Akka.Persistence was given the event and nobody heard what became of it: the writer was stopped, or told of a failure by a
    // circuit breaker while the write went on. The lock goes back when it cannot land any more, or not at all.
    private async Task<AppendOutcome> SettleAsync(IMachineLock held, JournalHead expected, MachineEvent @event, AppendOutcome.Unknown unknown)
    {
        await fence.PassAsync().ConfigureAwait(false);
        var settlement = AppendSettlement.ByItself(held.Vm, expected, @event);
        if (!await settlement.TrySettleAsync(store.Journal, settings.JournalPatience, time).ConfigureAwait(false))
        {
            KeptLocks.Keep(held);
            fence.SayThatLockIsKept(held.Vm);
            return unknown;
        }

        var found = await store.RecoverAsync(held.Vm, CancellationToken.None).ConfigureAwait(false);
        return found.Head == settlement.Head
            ? new AppendOutcome.Committed(found.Head)
            : new AppendOutcome.Conflict($"the stream ends at event {found.Head.SequenceNumber}, which is another one");
    }

    public async Task<ICoordinatorActor> CoordinateAsync(IMachineLock held, MachineHistory history, MachineAttachment attachment, CancellationToken cancellationToken)
    {
        // What the actor system's journal took must be what the store's readers find: restores, lists and sweeps go by that.
        var stored = await store.RecoverAsync(held.Vm, cancellationToken).ConfigureAwait(false);
        if (stored.Head != history.Head)
        {
            throw new StoreException(
                StoreFailure.Unusable,
                $"the actor system's journal does not write the store: it ends at event {history.Head.SequenceNumber} of the machine '{held.Vm}', the store at {stored.Head.SequenceNumber}; "
                + "let its plugin write the same database, with the table mapping 'default'");
        }

        var shell = new CoordinatorShell(held, store, history, attachment, settings, fence, time);
        engine.Tell(shell);
        await Task.WhenAny(shell.Ready, engineEnded).ConfigureAwait(false);
        if (!shell.IsReady)
        {
            // The first reason that was given counts.
            shell.FailToStart(new StoreException(StoreFailure.Unusable, $"machine '{held.Vm}' cannot be attached: {EngineEnded}"));
            await shell.CloseAsync().ConfigureAwait(false);
        }

        await shell.Ready.ConfigureAwait(false);
        return shell;
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await engine.GracefulStop(s_patience).ConfigureAwait(false);
        }
        catch (TaskCanceledException)
        {
            // An actor of the user's own below ours may hang; the store is closed all the same.
        }
    }
}
