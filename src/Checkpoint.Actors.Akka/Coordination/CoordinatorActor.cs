using System.Collections.Immutable;
using System.Diagnostics;
using Akka.Actor;
using Akka.Persistence;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>
/// The shell around <see cref="Coordinator"/> as a persistent actor: its inbox orders the inputs, its journal is the machine's
/// stream, and while an append is in flight Akka.Persistence stashes what comes. An append that failed ends this life; the next
/// one reads the stream and tells the decisions what it says.
/// </summary>
internal sealed class CoordinatorActor : ReceivePersistentActor, IWithTimers
{
    private readonly CoordinatorShell _shell;
    private readonly StreamFold _fold;
    private readonly Action<CoordinatorEffect> _carryOut;
    private string _doubt = "";
    private long _lastSnapshot;
    private long _savedSnapshot;

    public CoordinatorActor(CoordinatorShell shell)
    {
        _shell = shell;
        _fold = new StreamFold(shell.Held.Vm);
        _carryOut = CarryOut;
        JournalPluginId = shell.Settings.JournalPluginId;
        SnapshotPluginId = shell.Settings.SnapshotPluginId;
        Recovery = shell.DoubtsSnapshots ? new Recovery(SnapshotSelectionCriteria.None) : Recovery.Default;
        Recover<SnapshotOffer>(OnSnapshot);
        Recover<ChainedEvent>(chained => _fold.Fold(chained, LastSequenceNr));
        Recover<RecoveryCompleted>(_ => OnRecovered());
        Command<CoordinatorInput>(Handle);
        Command<SaveSnapshotSuccess>(saved => OnSnapshotSaved(saved.Metadata.SequenceNr));
        // A snapshot only shortens the next recovery; the next one is tried after as many events again.
        Command<SaveSnapshotFailure>(_ => { });
        Command<DeleteSnapshotsSuccess>(_ => { });
        Command<DeleteSnapshotsFailure>(_ => { });
    }

    public override string PersistenceId => MachineName.StreamOf(_shell.Held.Vm);

    public override Recovery Recovery { get; }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        foreach (var participant in _shell.Host.Participants)
        {
            var gone = new CoordinatorInput.ParticipantGone(participant.Index, new ParticipantFailure("is gone: its actor has ended"));
            Context.WatchWith(_shell.Participants[participant.Index], gone);
        }

        base.PreStart();
    }

    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        base.OnRecoveryFailure(reason, message);
        Context.Parent.Tell(new StreamUnreadable(reason));
    }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistFailure(cause, @event, sequenceNr);
        // It may have been written or not; Akka.Persistence would end this life by itself.
        EndInDoubt(cause.Message);
    }

    protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistRejected(cause, @event, sequenceNr);
        // The journal has nothing under this number and yet it was counted: the stream would have a gap. The next life counts anew.
        EndInDoubt(cause.Message);
    }

    private void Handle(CoordinatorInput input) => _shell.Handle(input, _carryOut);

    private void CarryOut(CoordinatorEffect effect)
    {
        switch (effect)
        {
            case CoordinatorEffect.ParticipantEffect message:
                _shell.Participants[message.Participant].Tell(message);
                break;
            case CoordinatorEffect.SetDeadline { Phase: RoundPhase.ResumingVcpus } grace:
                // A timer's thread would wait behind the guests; the store thread is next anyhow.
                _shell.Disk.PostLater(() => _shell.Actor.Tell(new CoordinatorInput.DeadlineReached(grace.Round, grace.Phase)), grace.After);
                break;
            case CoordinatorEffect.SetDeadline deadline:
                Timers.StartSingleTimer(deadline.Phase, new CoordinatorInput.DeadlineReached(deadline.Round, deadline.Phase), deadline.After);
                break;
            case CoordinatorEffect.StoreParts parts:
                var head = _shell.Coordinator.History.Head;
                _shell.Disk.Post(() => _shell.Actor.Tell(_shell.Parts.Store(parts, head)));
                break;
            case CoordinatorEffect.Append append:
                Append(append);
                break;
            case CoordinatorEffect.DeleteSegments delete:
                _shell.TidyUp(parts => parts.DeleteSegments(delete.Segments));
                break;
            case CoordinatorEffect.DiscardParts discard:
                _shell.TidyUp(parts => parts.Discard(discard.Round, _shell.Coordinator.History.Head));
                break;
            case CoordinatorEffect.Recover recover:
                // The guardian begins the next life with it, once it is settled.
                _shell.BecomeDoubtful(recover.AppendId, _doubt);
                Context.Stop(Self);
                break;
            default:
                throw new UnreachableException($"Unknown effect {effect.GetType().Name}.");
        }
    }

    private void Append(CoordinatorEffect.Append append)
    {
        var chained = ChainedEvent.Chain(append.Expected, append.Events);
        var intended = new JournalHead(append.Expected.SequenceNumber + chained.Length, chained[^1].Digest);
        if (_shell.Parts.OwnershipLost)
        {
            Self.Tell(new CoordinatorInput.AppendEnded(append.AppendId, new AppendResult.Conflict()));
        }
        else if (_shell.Parts.Doubt is { } doubt)
        {
            _doubt = doubt;
            Self.Tell(new CoordinatorInput.AppendEnded(append.AppendId, new AppendResult.Unknown(doubt, intended)));
        }
        else if (LastSequenceNr != append.Expected.SequenceNumber)
        {
            throw new UnreachableException($"The journal is at event {LastSequenceNr}, the coordinator at {append.Expected.SequenceNumber}.");
        }
        else
        {
            // In the shell, because it must be waited for also where this actor does not live to hear of it.
            _shell.InFlight = new CoordinatorShell.AppendInFlight(append.AppendId, intended);
            var left = chained.Length;
            PersistAll(chained, _ =>
            {
                if (--left == 0)
                    OnPersisted(append, intended);
            });
        }
    }

    private void OnPersisted(CoordinatorEffect.Append append, JournalHead head)
    {
        // Before the decisions go on: the segments of what was pruned go after its documents. What could not be deleted before,
        // because an event was on its way, goes now.
        if (!append.DeleteStateOf.IsEmpty || _shell.Parts.HasSuperfluous)
            _shell.TidyUp(parts => parts.DeleteDocuments(append.DeleteStateOf, _shell.LatestHead(head)));
        EndAppend(new AppendResult.Committed(head));
        var history = _shell.Coordinator.History;
        if (head.SequenceNumber - _lastSnapshot < _shell.Settings.EventsPerSnapshot || history.Head != head || !EventStream.CanBeSnapshot(history))
            return;
        _lastSnapshot = head.SequenceNumber;
        SaveSnapshot(HistorySnapshot.Of(history));
    }

    private void EndInDoubt(string doubt)
    {
        _doubt = doubt;
        if (_shell.InFlight is { } append)
            EndAppend(new AppendResult.Unknown(doubt, append.Intended));
    }

    private void EndAppend(AppendResult result)
    {
        if (_shell.InFlight is not { } append)
            return;
        _shell.InFlight = null;
        Handle(new CoordinatorInput.AppendEnded(append.AppendId, result));
    }

    // The two newest stay, as in the built-in host: the older one costs little and outlives a faulty newer one.
    private void OnSnapshotSaved(long sequenceNumber)
    {
        if (_savedSnapshot > 0)
            DeleteSnapshots(new SnapshotSelectionCriteria(_savedSnapshot - 1));
        _savedSnapshot = sequenceNumber;
    }

    private void OnSnapshot(SnapshotOffer offer)
    {
        _fold.Offer(offer);
        _lastSnapshot = _savedSnapshot = offer.Metadata.SequenceNr;
    }

    private void OnRecovered()
    {
        var history = _fold.History;
        if (!_shell.IsReady)
        {
            var expected = _shell.Coordinator.History.Head;
            if (history.Head != expected)
            {
                throw new SnapshotDoubtedException(
                    $"the actor system's journal gives {history.Head.SequenceNumber} events of the machine '{_shell.Held.Vm}' and the store {expected.SequenceNumber}, "
                    + "or other ones; let its plugin write the store's own tables");
            }

            _shell.BecomeReady();
        }
        else if (_shell.InDoubt is { } doubt)
        {
            _shell.EndDoubt();
            _shell.Notices.Tell(new MachineNotice.StoreBack(doubt.Attempts));
            Handle(new CoordinatorInput.Recovered(doubt.AppendId, history, doubt.Settlement.Head));
        }

        _shell.Actor = Self;
        foreach (var missed in _shell.Missed())
            Self.Tell(missed);
    }
}

/// <summary>A life of the coordinator's actor could not read the stream.</summary>
internal sealed record StreamUnreadable(Exception Reason);
