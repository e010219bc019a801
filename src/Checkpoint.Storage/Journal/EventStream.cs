using System.Buffers;
using System.Runtime.CompilerServices;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Journal;

/// <summary>One verified event.</summary>
/// <param name="Entry">The event and its place.</param>
/// <param name="Head">The stream's end if it ended here: what the next event must follow.</param>
public readonly record struct StoredEvent(JournalEntry Entry, JournalHead Head);

/// <summary>Reads machines' streams out of a journal and trusts nothing that it finds there.</summary>
public static class EventStream
{
    private const string Part = "journal";
    private const int RowsPerRead = 1024;
    private const int EventsPerSnapshot = 64;
    private const int LiveCheckpointsPerEvent = 4;

    /// <summary>
    /// The events after a head, each checked: its number follows the one before it without a gap, and it holds the digest of
    /// the bytes of the one before it.
    /// </summary>
    /// <exception cref="IntegrityException">A row is missing, was changed, or cannot be decoded.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public static async IAsyncEnumerable<StoredEvent> ReadAsync(
        IJournal journal,
        string vm,
        JournalHead from,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var head = from;
        while (true)
        {
            var rows = await journal.ReadAsync(vm, head.SequenceNumber, RowsPerRead, cancellationToken).ConfigureAwait(false);
            foreach (var row in rows)
            {
                var entry = Check(vm, row, head);
                head = new JournalHead(row.SequenceNumber, Digest.Of(row.Message.Span));
                yield return new StoredEvent(entry, head);
            }

            if (rows.Count < RowsPerRead)
                yield break;
        }
    }

    /// <summary>A machine's history: the newest snapshot that fits its stream, and the events after it.</summary>
    /// <returns><see cref="MachineHistory.Empty"/> where the machine has no stream.</returns>
    /// <exception cref="IntegrityException">The stream is damaged.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public static async Task<MachineHistory> RecoverAsync(IJournal journal, string vm, CancellationToken cancellationToken = default) =>
        (await RecoverFromSnapshotAsync(journal, vm, cancellationToken).ConfigureAwait(false)).History;

    /// <summary>As above, with the sequence number of the snapshot: 0 where there was none that fits.</summary>
    public static async Task<(MachineHistory History, long Snapshot)> RecoverFromSnapshotAsync(
        IJournal journal, string vm, CancellationToken cancellationToken = default)
    {
        var start = await FromSnapshotAsync(journal, vm, cancellationToken).ConfigureAwait(false) ?? MachineHistory.Empty;
        return (await CatchUpAsync(journal, vm, start, cancellationToken).ConfigureAwait(false), start.Head.SequenceNumber);
    }

    /// <summary>A history with the events folded in that have been appended since.</summary>
    /// <exception cref="IntegrityException">The stream is damaged, or does not go on from this history.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public static async Task<MachineHistory> CatchUpAsync(
        IJournal journal,
        string vm,
        MachineHistory history,
        CancellationToken cancellationToken = default)
    {
        await foreach (var stored in ReadAsync(journal, vm, history.Head, cancellationToken).ConfigureAwait(false))
            history = Fold(vm, history, stored);
        return history;
    }

    /// <summary>Where a stream that ends at a head would end with these events behind it.</summary>
    public static JournalHead HeadAfter(JournalHead head, IReadOnlyList<MachineEvent> events)
    {
        var encoded = new EncodedEvents();
        encoded.Encode(head, events);
        return encoded.Head;
    }

    /// <summary>
    /// Whether a history is worth a snapshot: each restore reads the events since the last one. A snapshot grows with the checkpoints that there
    /// are, so with many of them it is written the more seldom.
    /// </summary>
    /// <param name="history">The history.</param>
    /// <param name="lastSnapshot">The sequence number of the last snapshot; 0 for none, or where nobody knows.</param>
    public static bool IsSnapshotDue(MachineHistory history, long lastSnapshot) =>
        history.Head.SequenceNumber - lastSnapshot >= Math.Max(EventsPerSnapshot, history.Live.Count / LiveCheckpointsPerEvent);

    /// <summary>
    /// Whether a coordinator's history is what the stream says: that of a machine that has begun anew, which no event tells, is so from its first
    /// checkpoint on.
    /// </summary>
    public static bool CanBeSnapshot(MachineHistory history) => history.Current is not null || history.Live.IsEmpty;

    /// <summary>Stores the history as a snapshot, so that the next recovery is short.</summary>
    /// <exception cref="StoreException">The journal cannot be written. Nothing is lost by that but the time of a recovery.</exception>
    public static Task SaveSnapshotAsync(IJournal journal, string vm, MachineHistory history, CancellationToken cancellationToken = default)
    {
        var bytes = new ArrayBufferWriter<byte>(4096);
        SnapshotCodec.Encode(history, bytes);
        var row = new SnapshotRow(history.Head.SequenceNumber, EventCodec.SerializerId, SnapshotCodec.Manifest, bytes.WrittenMemory);
        return journal.SaveSnapshotAsync(vm, row, cancellationToken);
    }

    /// <summary>As above, where it does not matter whether it succeeds: the next one is tried after as many events again.</summary>
    public static async Task TrySaveSnapshotAsync(IJournal journal, string vm, MachineHistory history)
    {
        try
        {
            await SaveSnapshotAsync(journal, vm, history).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // A snapshot only shortens the next recovery.
        }
    }

    /// <summary>Folds one event in; what cannot follow is damage.</summary>
    internal static MachineHistory Fold(string vm, MachineHistory history, StoredEvent stored)
    {
        var sequenceNumber = stored.Head.SequenceNumber;
        if (stored.Entry.Event is MachineEvent.MachineRegistered registered && registered.Vm != vm)
            throw new IntegrityException(vm, Part, $"it registers the machine '{registered.Vm}'", sequenceNumber);
        try
        {
            return history.Evolve(stored.Entry.Event, stored.Head);
        }
        catch (InvalidHistoryException exception)
        {
            // The place is named by whoever shows the damage.
            var place = $"event {sequenceNumber}: ";
            var what = exception.Message.StartsWith(place, StringComparison.Ordinal) ? exception.Message[place.Length..] : exception.Message;
            throw new IntegrityException(vm, Part, what, sequenceNumber, inner: exception);
        }
    }

    private static JournalEntry Check(string vm, JournalRow row, JournalHead head)
    {
        if (row.SequenceNumber != head.SequenceNumber + 1)
            throw new IntegrityException(vm, Part, $"event {row.SequenceNumber} follows event {head.SequenceNumber}", head.SequenceNumber + 1);
        if (row.Serializer != EventCodec.SerializerId)
            throw new IntegrityException(vm, Part, $"it was written by serializer {row.Serializer}, not {EventCodec.SerializerId}", row.SequenceNumber);
        JournalEntry entry;
        try
        {
            entry = EventCodec.Decode(row.Manifest, row.SequenceNumber, row.Message);
        }
        catch (PayloadException exception)
        {
            throw new IntegrityException(vm, Part, exception.Message, row.SequenceNumber, inner: exception);
        }

        return entry.Previous == head.Digest
            ? entry
            : throw new IntegrityException(vm, Part, "the event before it is not the one that it was written after", row.SequenceNumber);
    }

    /// <summary>
    /// A snapshot saves time and proves nothing: unless it has its checksum, decodes, and the stream holds the very event that it ends with, it is
    /// as if there were none.
    /// </summary>
    private static async Task<MachineHistory?> FromSnapshotAsync(IJournal journal, string vm, CancellationToken cancellationToken)
    {
        var snapshot = await journal.LoadSnapshotAsync(vm, cancellationToken).ConfigureAwait(false);
        if (snapshot is null || !TryDecode(vm, snapshot, out var history))
            return null;
        var last = await journal.ReadAsync(vm, snapshot.SequenceNumber - 1, 1, cancellationToken).ConfigureAwait(false);
        return last is [var row] && row.SequenceNumber == snapshot.SequenceNumber && Digest.Of(row.Message.Span) == history.Head.Digest
            ? history
            : null;
    }

    private static bool TryDecode(string vm, SnapshotRow snapshot, out MachineHistory history)
    {
        history = MachineHistory.Empty;
        try
        {
            history = SnapshotCodec.Decode(snapshot.Manifest, snapshot.Bytes);
        }
        catch (PayloadException)
        {
            return false;
        }

        return history.Head.SequenceNumber == snapshot.SequenceNumber && history.Registration?.Vm == vm;
    }
}
