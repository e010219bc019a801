using System.Collections.Immutable;
using Checkpoint.Actors.Coordination;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>
/// What of a checkpoint is stored before its event: the segment, and the state document in a transaction of its own, because the
/// event's transaction belongs to Akka.Persistence. A crash between the two leaves a document that no event names; it is swept
/// when the machine is next attached. All calls come from the store thread.
/// </summary>
/// <param name="held">The machine's lock.</param>
/// <param name="store">Where to store.</param>
/// <param name="writer">Writes the segment.</param>
/// <param name="deadline">How long the segment may take.</param>
/// <param name="watch">Tells of what takes longer and cannot be ended.</param>
/// <param name="time">The clock.</param>
internal sealed class PartsStore(
    IMachineLock held, CheckpointStore store, CheckpointWriter writer, TimeSpan deadline, StoreWatch watch, TimeProvider time)
{
    // Documents that no event names any more: they go with the next document's transaction, or when the machine is
    // stopped, where they could not go at once.
    private readonly HashSet<long> _superfluous = [];
    private (RoundId Round, long Number) _last;
    private volatile bool _hasSuperfluous;
    private volatile bool _ownershipLost;
    private volatile string? _doubt;

    /// <summary>Whether documents are left that no event names any more.</summary>
    public bool HasSuperfluous => _hasSuperfluous;

    /// <summary>Somebody else has written to the stream: nothing may be appended any more.</summary>
    public bool OwnershipLost => _ownershipLost;

    /// <summary>Why nobody can tell what is on the disk; null where it can be told.</summary>
    public string? Doubt => _doubt;

    /// <summary>Everything has been proven to be on the disk, or is not there.</summary>
    public void BecomeCertain() => _doubt = null;

    /// <summary>Stores what was captured.</summary>
    /// <param name="effect">Which round.</param>
    /// <param name="head">The stream's end: with it the store notices another writer before the document is written.</param>
    public CoordinatorInput Store(CoordinatorEffect.StoreParts effect, JournalHead head)
    {
        using var watched = watch.Begin("storing the checkpoint's parts");
        using var over = new CancellationTokenSource(deadline, time);
        try
        {
            var parts = writer.Store(effect, over.Token);
            var (number, bytes) = writer.DocumentOf(effect.Round);
            _last = (effect.Round, number);
            var outcome = Transact(head, new NewStateDocument(number, bytes));
            if (outcome is AppendOutcome.Conflict)
                _ownershipLost = true; // The append that follows says so.
            return outcome switch
            {
                AppendOutcome.Committed or AppendOutcome.Conflict => new CoordinatorInput.PartsStored(effect.Round, parts),
                AppendOutcome.Refused refused => NotStored(effect.Round, refused.Reason, refused.HasNoRoom),
                AppendOutcome.Unknown unknown => NotStored(effect.Round, unknown.Reason, isDoubtful: true),
                _ => throw new System.Diagnostics.UnreachableException($"Unknown outcome {outcome.GetType().Name}."),
            };
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            return NotStored(effect.Round, $"it took longer than {(long)deadline.TotalMilliseconds} ms");
        }
        catch (Exception failure)
        {
            // Whatever it was, the round must end and say so: the guest runs on.
            return NotStored(effect.Round, failure.Message, failure is StoreException { Failure: StoreFailure.Full });
        }
    }

    /// <summary>The round does not become a checkpoint: its segment and its document go.</summary>
    public void Discard(RoundId round, JournalHead head)
    {
        writer.Discard(round);
        if (_last.Round == round)
            DeleteDocuments([_last.Number], head);
    }

    /// <summary>
    /// Deletes documents that no event names any more. Where that fails now it is done after the next event, with the next document,
    /// or by a sweep.
    /// </summary>
    public void DeleteDocuments(ImmutableArray<long> numbers, JournalHead head)
    {
        _superfluous.UnionWith(numbers);
        _hasSuperfluous = _superfluous.Count > 0;
        // An event may be on its way just now: then the head is another one, and they stay superfluous.
        if (_doubt is null && !_ownershipLost && _superfluous.Count > 0)
            Transact(head, null);
    }

    /// <summary>
    /// Removes what was stored last, where it is of no checkpoint and an abort was put in the place of its event.
    /// </summary>
    /// <param name="highest">The highest checkpoint that is committed.</param>
    /// <param name="head">The stream's end with that abort. Where the event stands there all the same, nothing is removed.</param>
    public void DiscardUncommitted(long highest, JournalHead head)
    {
        if (_last.Number <= highest || _doubt is not null)
            return;
        if (store.Journal.AppendAsync(new JournalAppend(held.Vm, head, [], null, [_last.Number])).GetAwaiter().GetResult() is AppendOutcome.Committed)
            writer.Discard(_last.Round);
    }

    /// <summary>Nothing more is stored: what was stored last is put on record as named by the stream, and what is superfluous goes.</summary>
    public void Finish(JournalHead head)
    {
        if (_doubt is null && !_ownershipLost && (_superfluous.Count > 0 || _last != default))
            Transact(head, null);
    }

    /// <summary>Deletes segments that no event names any more.</summary>
    public void DeleteSegments(ImmutableArray<SegmentPart> segments)
    {
        foreach (var segment in segments)
            writer.Delete(segment);
    }

    private AppendOutcome Transact(JournalHead head, NewStateDocument? document)
    {
        // This thread has nothing else to do: it waits for the journal instead of coming back later on another one.
        var append = new JournalAppend(held.Vm, head, [], document, [.. _superfluous]);
        var outcome = store.Journal.AppendAsync(append).GetAwaiter().GetResult();
        if (outcome is AppendOutcome.Committed)
        {
            _superfluous.Clear();
            _hasSuperfluous = false;
        }

        return outcome;
    }

    private CoordinatorInput.PartsNotStored NotStored(RoundId round, string reason, bool hasNoRoom = false, bool isDoubtful = false)
    {
        // After a sync that failed the next one may succeed and prove nothing; so nothing is appended before the disk is proven.
        if (isDoubtful)
            _doubt = reason;
        return new CoordinatorInput.PartsNotStored(round, $"the checkpoint could not be stored: {reason}", hasNoRoom);
    }
}
