using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <content>What is appended, and what follows from how an append ended.</content>
public sealed partial class Coordinator
{
    private void OnStored(StoredParts parts, in Moment now, List<CoordinatorEffect> effects)
    {
        if (IsStoringOver())
            return;
        _round!.Parts = parts;
        _round.Stored = now;
        CommitIfComplete(now, effects);
    }

    private void CommitIfComplete(in Moment now, List<CoordinatorEffect> effects)
    {
        var round = _round!;
        if (round.Awaited > 0)
            return;
        if (round.AllResumed == default)
            round.AllResumed = now;
        if (round.Abort is not null)
        {
            AppendAbort(now, effects);
            return;
        }

        if (round.Parts is not { } parts)
            return;

        var committed = new MachineEvent.CheckpointCommitted(
            History.HighestNumber + 1,
            round.Request.Id,
            History.Current,
            parts.Mode,
            round.Request.Trigger,
            round.Request.Label,
            parts.GuestClockNs,
            parts.State,
            parts.Segment,
            parts.MemoryBytes,
            parts.DirtyPages,
            new CheckpointTimings(
                round.AllResumed.MonotonicUs - round.Begun.MonotonicUs,
                round.AllParked.MonotonicUs - round.Begun.MonotonicUs,
                round.AllCaptured.MonotonicUs - round.AllParked.MonotonicUs,
                round.Stored.MonotonicUs - round.AllToldToRun.MonotonicUs),
            parts.Batching)
        { At = round.AllParked.Wall, Taking = TakingOf(parts, round) };

        ImmutableArray<long> pruned = _options.Keep is { } keep ? Retention.SelectAfter(History, committed, keep) : [];
        // The commit and what it makes superfluous are one append: one sync for both.
        ImmutableArray<MachineEvent> events = pruned.IsEmpty
            ? [committed]
            : [committed, new MachineEvent.CheckpointPruned(pruned) { At = now.Wall }];
        Append(new PendingAppend(++_lastAppend, round.Request.RequestId, new CoordinatorReply.Committed(committed, pruned), events, pruned, round.Id), effects);
    }

    private MemoryTaking? TakingOf(StoredParts parts, Round round)
    {
        if (parts.Taking is not { } taking)
            return null;
        var besides = round.AllResumed.MonotonicUs - round.Begun.MonotonicUs - taking.CaptureUs;
        // What was disturbed by others says little: less counts at once, more by and by.
        var isLess = _pauseBesidesMemoryUs == 0 || besides < _pauseBesidesMemoryUs;
        _pauseBesidesMemoryUs = isLess ? besides : _pauseBesidesMemoryUs + ((besides - _pauseBesidesMemoryUs) / 16);
        return taking with { PrepareUs = round.Begun.MonotonicUs - round.Requested.MonotonicUs, MaxPauseUs = (long?)_options.MaxPause?.TotalMicroseconds };
    }

    private void OnNotStored(CoordinatorInput.PartsNotStored lost, in Moment now, List<CoordinatorEffect> effects)
    {
        if (IsStoringOver())
            return;
        _round!.Abort = new MachineEvent.CheckpointAborted(lost.Reason, null, null, null) { At = now.Wall };
        _round.HasNoRoom = lost.HasNoRoom;
        CommitIfComplete(now, effects);
    }

    // The first word about the parts counts; another one is a double.
    private bool IsStoringOver() => _round!.Parts is not null || _round.Abort is not null;

    private void AppendAbort(in Moment now, List<CoordinatorEffect> effects)
    {
        var round = _round!;
        effects.Add(new CoordinatorEffect.DiscardParts(round.Id));
        Settle(round.Id, isCommitted: false, effects);
        // No commit comes while the disk is full, so what one would have taken with it goes now.
        ImmutableArray<long> pruned = round.HasNoRoom && _options.Keep is { } keep ? Retention.Select(History, keep) : [];
        var reply = new CoordinatorReply.Aborted(round.Abort!) { Pruned = pruned };
        if (round.HasNoRoom && pruned.IsEmpty && _documentsLeft.IsEmpty)
        {
            // An event for every try would take the room that is left, which it takes to prune anything. With documents of pruned
            // checkpoints to delete it makes some.
            effects.Add(new CoordinatorEffect.Reply(round.Request.RequestId, reply));
            BecomeIdle(now, effects);
            return;
        }

        ImmutableArray<MachineEvent> events = pruned.IsEmpty
            ? [round.Abort!]
            : [round.Abort!, new MachineEvent.CheckpointPruned(pruned) { At = now.Wall }];
        Append(new PendingAppend(++_lastAppend, round.Request.RequestId, reply, events, pruned, null) { LeavesDocuments = !pruned.IsEmpty }, effects);
    }

    private void Decide(CoordinatorInput.Request request, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (request)
        {
            case CoordinatorInput.Pin pin when History.Live.ContainsKey(pin.Number):
                AppendOrReply(pin, History.Pinned.Contains(pin.Number), new MachineEvent.CheckpointPinned(pin.Number) { At = now.Wall }, [pin.Number], effects);
                break;
            case CoordinatorInput.Unpin unpin when History.Live.ContainsKey(unpin.Number):
                AppendOrReply(unpin, !History.Pinned.Contains(unpin.Number), new MachineEvent.CheckpointUnpinned(unpin.Number) { At = now.Wall }, [unpin.Number], effects);
                break;
            case CoordinatorInput.Pin or CoordinatorInput.Unpin:
                var number = request is CoordinatorInput.Pin missing ? missing.Number : ((CoordinatorInput.Unpin)request).Number;
                Refuse(request, new Refusal.NoSuchCheckpoint($"{History.Registration!.Vm}@{number}"), effects);
                break;
            case CoordinatorInput.RecordRestore record:
                AppendOrReply(record, false, record.Restored with { Continues = false }, [record.Restored.FromNumber], effects);
                break;
            case CoordinatorInput.BeginCheckpoint begin:
                Begin(begin, now, effects);
                break;
            case CoordinatorInput.Prune { Keep: < 1 } prune:
                Refuse(prune, new Refusal.NothingWouldBeKept(prune.Keep), effects);
                break;
            case CoordinatorInput.Prune prune:
                var pruned = Retention.Select(History, prune.Keep);
                AppendOrReply(prune, pruned.IsEmpty, new MachineEvent.CheckpointPruned(pruned) { At = now.Wall }, pruned, effects);
                break;
            default:
                throw new UnreachableException($"Unknown request {request.GetType().Name}.");
        }
    }

    private void Settle(RoundId round, bool isCommitted, List<CoordinatorEffect> effects)
    {
        foreach (var participant in _participants)
        {
            if (participant.Kind == ParticipantKind.Machine && _gone[participant.Index] is null)
                effects.Add(new CoordinatorEffect.SettleParticipant(round, participant.Index, isCommitted));
        }
    }

    private void AppendOrReply(
        CoordinatorInput.Request request,
        bool isSoAlready,
        MachineEvent @event,
        ImmutableArray<long> numbers,
        List<CoordinatorEffect> effects)
    {
        var reply = new CoordinatorReply.Done(numbers);
        if (isSoAlready)
            effects.Add(new CoordinatorEffect.Reply(request.RequestId, reply));
        else
            Append(new PendingAppend(++_lastAppend, request.RequestId, reply, [@event], @event is MachineEvent.CheckpointPruned ? numbers : [], null), effects);
    }

    private void Append(PendingAppend pending, List<CoordinatorEffect> effects)
    {
        _pending = pending;
        Phase = RoundPhase.Appending;
        ImmutableArray<long> documents = pending.LeavesDocuments ? [] : _documentsLeft.AddRange(pending.Pruned);
        effects.Add(new CoordinatorEffect.Append(pending.AppendId, History.Head, pending.Events, pending.StateOf, documents));
    }

    private void OnAppendEnded(AppendResult result, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (result)
        {
            case AppendResult.Committed committed:
                Finish(_pending!, Fold(_pending!.Events, committed.Head), now, effects);
                break;
            case AppendResult.Conflict:
                Fence(new Refusal.OwnershipLost(), effects);
                break;
            case AppendResult.Refused refused:
                OnRefused(refused, now, effects);
                break;
            case AppendResult.Unknown:
                // Only the stream can tell whether it was written; until then this coordinator decides nothing.
                var unknown = (AppendResult.Unknown)result;
                _pending = _pending! with { Intended = unknown.Intended, Doubt = unknown.Reason };
                Phase = RoundPhase.Recovering;
                effects.Add(new CoordinatorEffect.Recover(_pending.AppendId));
                break;
            default:
                throw new UnreachableException($"Unknown end of an append {result.GetType().Name}.");
        }
    }

    private void OnRefused(AppendResult.Refused refused, in Moment now, List<CoordinatorEffect> effects)
    {
        var reason = $"the journal refused to write: {refused.Reason}";
        if (!refused.HasNoRoom || _pending!.StateOf is null)
        {
            FinishWithoutWriting(_pending!, reason, now, effects);
            return;
        }

        // With its parts gone there may be room enough for the end of the round.
        _round!.Abort = new MachineEvent.CheckpointAborted(reason, null, null, null) { At = now.Wall };
        _round.HasNoRoom = true;
        AppendAbort(now, effects);
    }

    private void OnRecovered(CoordinatorInput.Recovered recovered, in Moment now, List<CoordinatorEffect> effects)
    {
        // The end's digest covers everything before it. So what the stream says is what this coordinator knows, and one append more
        // or not; only this coordinator knows from which checkpoint the machine goes on.
        var pending = _pending!;
        var found = recovered.History.Head;
        if (found == pending.Intended)
        {
            Finish(pending, Fold(pending.Events, found), now, effects);
        }
        else if (found == History.Head || found == recovered.WrittenInstead)
        {
            History = History with { Head = found };
            FinishWithoutWriting(pending, $"the journal lost the write: {pending.Doubt}", now, effects);
        }
        else
        {
            Fence(new Refusal.OwnershipLost(), effects);
        }
    }

    private MachineHistory Fold(ImmutableArray<MachineEvent> events, JournalHead end)
    {
        // Only the digest of the last event is asked for again: those between are the journal's own business.
        var history = History;
        foreach (var @event in events)
            history = history.Evolve(@event, new JournalHead(history.Head.SequenceNumber + 1, Digest.Zero));
        return history with { Head = end };
    }

    private void Finish(PendingAppend pending, MachineHistory history, in Moment now, List<CoordinatorEffect> effects)
    {
        var segments = pending.Pruned.Select(number => History.Live[number].Segment).OfType<SegmentPart>().ToImmutableArray();
        History = history;
        _documentsLeft = pending.LeavesDocuments ? _documentsLeft.AddRange(pending.Pruned) : [];
        if (pending.StateOf is { } round)
            Settle(round, isCommitted: true, effects);
        effects.Add(new CoordinatorEffect.Reply(pending.RequestId, pending.Reply));
        if (!segments.IsEmpty)
            effects.Add(new CoordinatorEffect.DeleteSegments(segments));
        BecomeIdle(now, effects);
    }

    private void FinishWithoutWriting(PendingAppend pending, string reason, in Moment now, List<CoordinatorEffect> effects)
    {
        var reply = pending.Reply switch
        {
            // The round is over either way; that its abort is not on record changes nothing for the caller.
            CoordinatorReply.Aborted aborted => aborted with { Pruned = [] },
            CoordinatorReply.Committed => new CoordinatorReply.Aborted(
                new MachineEvent.CheckpointAborted(reason, null, null, null) { At = now.Wall }),
            _ => (CoordinatorReply)new CoordinatorReply.Refused(new Refusal.JournalRefused(reason)),
        };
        if (pending.StateOf is { } round)
        {
            effects.Add(new CoordinatorEffect.DiscardParts(round));
            Settle(round, isCommitted: false, effects);
        }

        effects.Add(new CoordinatorEffect.Reply(pending.RequestId, reply));
        BecomeIdle(now, effects);
    }

    private void Fence(Refusal obstacle, List<CoordinatorEffect> effects)
    {
        _fencedBy = obstacle;
        var pending = _pending!;
        _pending = null;
        _round = null;
        Phase = RoundPhase.Fenced;
        // Its parts stay: whoever owns the stream now sweeps what no event names.
        if (pending.StateOf is { } round)
            Settle(round, isCommitted: false, effects);
        var lost = new CoordinatorReply.Refused(obstacle);
        effects.Add(new CoordinatorEffect.Reply(pending.RequestId, lost));
        while (_waiting.TryDequeue(out var request))
            effects.Add(new CoordinatorEffect.Reply(request.RequestId, lost));
        if (_stop is not null)
            effects.Add(new CoordinatorEffect.Reply(_stop.RequestId, lost));
    }

    private void BecomeIdle(in Moment now, List<CoordinatorEffect> effects)
    {
        _pending = null;
        _round = null;
        Phase = RoundPhase.Idle;
        while (Phase == RoundPhase.Idle && _waiting.TryDequeue(out var request))
            Decide(request, now, effects);
        if (Phase == RoundPhase.Idle && _stop is not null)
        {
            Phase = RoundPhase.Stopped;
            effects.Add(new CoordinatorEffect.Reply(_stop.RequestId, new CoordinatorReply.Done([])));
        }
    }

    /// <summary>An append in flight, and what follows when it is written.</summary>
    private sealed record PendingAppend(
        long AppendId,
        long RequestId,
        CoordinatorReply Reply,
        ImmutableArray<MachineEvent> Events,
        ImmutableArray<long> Pruned,
        RoundId? StateOf)
    {
        /// <summary>Whether the state documents of what is pruned go with a later append: deleting them changes many pages of a database.</summary>
        public bool LeavesDocuments { get; init; }

        /// <summary>The stream's end if it was written; known where the append's end is not.</summary>
        public JournalHead? Intended { get; init; }

        /// <summary>Why its end is not known.</summary>
        public string? Doubt { get; init; }
    }
}
