using System.Buffers;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage;

/// <summary>A damage that a verification found.</summary>
/// <param name="Vm">The machine.</param>
/// <param name="Checkpoint">The checkpoint's number; null where the damage is in the stream itself.</param>
/// <param name="Part">Which part: <c>journal</c>, <c>snapshot</c>, <c>state document</c> or <c>segment NAME</c>.</param>
/// <param name="What">What is wrong with it.</param>
public sealed record Damage(string Vm, long? Checkpoint, string Part, string What);

/// <summary>What a verification has read and found.</summary>
/// <param name="Checkpoints">How many checkpoints were read.</param>
/// <param name="Segments">How many memory segments were read.</param>
/// <param name="Damages">All damages; empty when everything is as it was written.</param>
public sealed record VerifyReport(long Checkpoints, long Segments, IReadOnlyList<Damage> Damages)
{
    /// <summary>What is stored of checkpoints that are not committed: being taken just now, or left by a process that ended meanwhile. No damage.</summary>
    public IReadOnlyList<Uncommitted> Uncommitted { get; init; } = [];
}

/// <summary>
/// A state document that was stored before its event, which has not come: the checkpoint is being taken, or its process ended
/// meanwhile and the machine's next attachment removes it.
/// </summary>
/// <param name="Vm">The machine.</param>
/// <param name="Checkpoint">The number that the checkpoint was to have.</param>
public sealed record Uncommitted(string Vm, long Checkpoint);

/// <summary>How far a verification is.</summary>
/// <param name="Vm">The machine being read.</param>
/// <param name="Checkpoint">The checkpoint being read.</param>
/// <param name="Bytes">Bytes of guest memory read of its segment so far.</param>
public readonly record struct VerifyProgress(string Vm, long Checkpoint, long Bytes);

/// <summary>One verification.</summary>
internal sealed class StoreVerifier(CheckpointStore store, IProgress<VerifyProgress>? progress, CancellationToken cancellationToken)
{
    // A machine that checkpoints meanwhile may change what one look compares; what is missing is missing at every look.
    private const int Looks = 5;

    private readonly List<Damage> _damages = [];
    private readonly List<Uncommitted> _uncommitted = [];
    private long _checkpoints;
    private long _segments;

    public async Task<VerifyReport> VerifyAsync(string? vm, long? number)
    {
        var machines = await store.ListMachinesAsync(cancellationToken).ConfigureAwait(false);
        if (vm is not null && !machines.Contains(vm))
            throw new StoreException(StoreFailure.NotFound, $"there is no machine '{vm}' in the store; see the list of machines");
        foreach (var machine in vm is null ? machines : [vm])
            await VerifyMachineAsync(machine, number).ConfigureAwait(false);
        return new VerifyReport(_checkpoints, _segments, _damages) { Uncommitted = _uncommitted };
    }

    private static Damage ToDamage(IntegrityException exception) => new(
        exception.Vm,
        exception.Checkpoint,
        exception.Part,
        exception.SequenceNumber is { } sequence ? $"event {sequence}: {exception.What}" : exception.What);

    private async Task VerifyMachineAsync(string vm, long? number)
    {
        var before = _damages.Count;
        var history = await FoldAsync(vm).ConfigureAwait(false);
        if (number is { } wanted && !history.Live.ContainsKey(wanted))
        {
            // With a damaged stream the checkpoint may well exist, behind the damage, which is in the report.
            if (_damages.Count > before)
                return;
            throw new StoreException(StoreFailure.NotFound, $"there is no checkpoint {wanted} of the machine '{vm}'; see the list of checkpoints");
        }

        foreach (var committed in number is { } one ? Chain(history, one) : history.Live.Values)
            await VerifyCheckpointAsync(vm, committed, history).ConfigureAwait(false);
    }

    /// <summary>The whole stream, folded as far as it can be believed.</summary>
    private async Task<MachineHistory> FoldAsync(string vm)
    {
        // These are read first: read last, they could be newer than the events, and that looks like events missing.
        var snapshot = await store.Journal.LoadSnapshotAsync(vm, cancellationToken).ConfigureAwait(false);
        var documents = await store.Journal.ListStateDocumentsAsync(vm, cancellationToken).ConfigureAwait(false);
        var history = MachineHistory.Empty;
        MachineHistory? atSnapshot = null;
        try
        {
            await foreach (var stored in EventStream.ReadAsync(store.Journal, vm, JournalHead.Empty, cancellationToken).ConfigureAwait(false))
            {
                history = EventStream.Fold(vm, history, stored);
                if (history.Head.SequenceNumber == snapshot?.SequenceNumber)
                    atSnapshot = history;
            }
        }
        catch (IntegrityException exception)
        {
            _damages.Add(ToDamage(exception));
            VerifySnapshot(vm, snapshot, atSnapshot);
            return history;
        }

        await FindMissingEventsAsync(vm, history, snapshot, documents).ConfigureAwait(false);
        if (snapshot?.SequenceNumber <= history.Head.SequenceNumber)
            VerifySnapshot(vm, snapshot, atSnapshot);
        return history;
    }

    /// <summary>The chain cannot tell that its last events are gone; what was written after them or with them can.</summary>
    private async Task FindMissingEventsAsync(string vm, MachineHistory history, SnapshotRow? snapshot, IReadOnlyList<long> documents)
    {
        if (snapshot is not null && snapshot.SequenceNumber > history.Head.SequenceNumber)
        {
            var what = $"it ends at event {history.Head.SequenceNumber} and there is a snapshot of event {snapshot.SequenceNumber}: events are missing";
            _damages.Add(new Damage(vm, null, "journal", what));
        }
        else if (documents is [.., var highest] && highest > history.HighestNumber)
        {
            await JudgeDocumentsAboveAsync(vm, history).ConfigureAwait(false);
        }
    }

    /// <summary>A document above the highest checkpoint was stored with an event that is missing, or ahead of one that has not come.</summary>
    private async Task JudgeDocumentsAboveAsync(string vm, MachineHistory history)
    {
        for (var look = 1; ; look++)
        {
            var documents = await store.Journal.ListStateDocumentsAsync(vm, cancellationToken).ConfigureAwait(false);
            var ahead = await store.Journal.LoadDocumentAheadAsync(vm, cancellationToken).ConfigureAwait(false);
            history = await EventStream.CatchUpAsync(store.Journal, vm, history, cancellationToken).ConfigureAwait(false);
            long[] above = [.. documents.Where(number => number > history.HighestNumber)];
            if (above.Length == 0)
                return;
            // The stream goes on to where its event was to stand, so nothing before that is missing.
            if (above is [var only] && ahead?.Number == only && ahead.SequenceNumber <= history.Head.SequenceNumber + 1)
            {
                _uncommitted.Add(new Uncommitted(vm, only));
                return;
            }

            if (look < Looks)
                continue;
            var what = $"its last checkpoint is {history.HighestNumber} and there is a state document of checkpoint {above[^1]}: events are missing";
            _damages.Add(new Damage(vm, null, "journal", what));
            return;
        }
    }

    /// <summary>A snapshot must be what its stream is up to there; a stream that is damaged before that leaves only its own bytes to check.</summary>
    private void VerifySnapshot(string vm, SnapshotRow? snapshot, MachineHistory? expected)
    {
        if (snapshot is null || snapshot.Manifest == SnapshotCodec.ManifestWithoutChecksum)
            return;
        var place = $"of event {snapshot.SequenceNumber}";
        try
        {
            var found = SnapshotCodec.Decode(snapshot.Manifest, snapshot.Bytes);
            if (found.Head.SequenceNumber != snapshot.SequenceNumber || (expected is not null && !AreSame(found, expected)))
                _damages.Add(new Damage(vm, null, "snapshot", $"{place}: it is not what the events up to there give"));
        }
        catch (PayloadException exception)
        {
            _damages.Add(new Damage(vm, null, "snapshot", $"{place}: {exception.Message}"));
        }
    }

    /// <summary>Equal values have equal bytes.</summary>
    private static bool AreSame(MachineHistory one, MachineHistory other)
    {
        var (left, right) = (new ArrayBufferWriter<byte>(), new ArrayBufferWriter<byte>());
        SnapshotCodec.Encode(one, left);
        SnapshotCodec.Encode(other, right);
        return left.WrittenSpan.SequenceEqual(right.WrittenSpan);
    }

    /// <summary>A checkpoint and those that its memory builds on.</summary>
    private static IEnumerable<MachineEvent.CheckpointCommitted> Chain(MachineHistory history, long number)
    {
        for (long? next = number; next is { } current && history.Live.TryGetValue(current, out var committed);)
        {
            yield return committed;
            next = committed.Mode == CheckpointMode.Incremental && committed.Parent < current ? committed.Parent : null;
        }
    }

    private async Task VerifyCheckpointAsync(string vm, MachineEvent.CheckpointCommitted committed, MachineHistory history)
    {
        cancellationToken.ThrowIfCancellationRequested();
        progress?.Report(new VerifyProgress(vm, committed.Number, 0));
        var found = new List<Damage>();
        if (committed.Mode == CheckpointMode.Incremental && !history.Live.ContainsKey(committed.Parent ?? 0))
            found.Add(new Damage(vm, committed.Number, "journal", $"it builds on checkpoint {committed.Parent}, which does not exist"));
        try
        {
            await store.LoadAsync(vm, committed, cancellationToken).ConfigureAwait(false);
        }
        catch (IntegrityException exception)
        {
            found.Add(ToDamage(exception));
        }

        if (committed.Segment is not null)
            VerifySegment(vm, committed, found);

        // The machine may have pruned the checkpoint while it was read here: then its parts are gone and rightly so.
        if (found.Count > 0 && !await StillExistsAsync(vm, committed.Number, history).ConfigureAwait(false))
            return;
        _checkpoints++;
        if (committed.Segment is not null)
            _segments++;
        _damages.AddRange(found);
    }

    private void VerifySegment(string vm, MachineEvent.CheckpointCommitted committed, List<Damage> found)
    {
        var bytes = progress is null ? null : new SegmentProgress(progress, vm, committed.Number);
        try
        {
            using var segment = store.Segments.Open(vm, committed);
            segment.Verify(exception => found.Add(ToDamage(exception)), bytes, cancellationToken);
        }
        catch (IntegrityException exception)
        {
            found.Add(ToDamage(exception));
        }
    }

    private async Task<bool> StillExistsAsync(string vm, long number, MachineHistory history)
    {
        try
        {
            var now = await EventStream.CatchUpAsync(store.Journal, vm, history, cancellationToken).ConfigureAwait(false);
            return now.Live.ContainsKey(number);
        }
        catch (IntegrityException)
        {
            // The stream is damaged behind this checkpoint, and that is in the report already or will be by the next verification.
            return true;
        }
    }

    private sealed class SegmentProgress(IProgress<VerifyProgress> progress, string vm, long number) : IProgress<long>
    {
        public void Report(long value) => progress.Report(new VerifyProgress(vm, number, value));
    }
}
