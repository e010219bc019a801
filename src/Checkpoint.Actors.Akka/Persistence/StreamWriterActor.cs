using Akka.Actor;
using Akka.Persistence;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// Appends to a stream that has no coordinator: a registration, a restore put on record. It recovers, writes once and is gone;
/// the outcome is given when it no longer lives, so that the coordinator never shares the stream with it.
/// </summary>
internal sealed class StreamWriterActor : ReceivePersistentActor
{
    private readonly StreamAppend _append;
    private readonly StreamFold _fold;
    private AppendOutcome _outcome = new AppendOutcome.Refused("the actor system is stopping");

    public StreamWriterActor(StreamAppend append)
    {
        _append = append;
        _fold = new StreamFold(append.Vm);
        JournalPluginId = append.Settings.JournalPluginId;
        SnapshotPluginId = append.Settings.SnapshotPluginId;
        Recover<ChainedEvent>(chained => _fold.Fold(chained, LastSequenceNr));
        Recover<RecoveryCompleted>(_ => Write());
        Command<SaveSnapshotSuccess>(_ => { });
    }

    public override string PersistenceId => MachineName.StreamOf(_append.Vm);

    // It is short-lived and rare: the whole stream is read, and no snapshot has to be believed.
    public override Recovery Recovery { get; } = new(SnapshotSelectionCriteria.None);

    protected override void PostStop() => _append.Ended.TrySetResult(_outcome);

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistFailure(cause, @event, sequenceNr);
        _outcome = new AppendOutcome.Unknown(cause.Message);
    }

    protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistRejected(cause, @event, sequenceNr);
        _outcome = new AppendOutcome.Refused(cause.Message);
        Context.Stop(Self);
    }

    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        base.OnRecoveryFailure(reason, message);
        _outcome = new AppendOutcome.Refused($"the stream cannot be read: {reason.Message}");
    }

    private void Write()
    {
        var found = _fold.History.Head;
        if (found != _append.Expected)
        {
            _outcome = new AppendOutcome.Conflict(
                $"the actor system's journal has {found.SequenceNumber} events of the machine '{_append.Vm}', the store has {_append.Expected.SequenceNumber}; "
                + "let its plugin write the store's own tables, or somebody else wrote meanwhile");
            Context.Stop(Self);
            return;
        }

        var chained = ChainedEvent.Chain(found, [_append.Event])[0];
        _outcome = new AppendOutcome.Unknown("the actor system was stopped while it was written");
        Persist(chained, written =>
        {
            _outcome = new AppendOutcome.Committed(new JournalHead(LastSequenceNr, written.Digest));
            Context.Stop(Self);
        });
    }
}

/// <summary>One event to append, and who waits for it.</summary>
internal sealed record StreamAppend(string Vm, JournalHead Expected, MachineEvent Event, CheckpointSettings Settings)
{
    /// <summary>Ends with the outcome when the writer is gone.</summary>
    public TaskCompletionSource<AppendOutcome> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
