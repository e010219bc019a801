namespace Checkpoint.Storage.Journal;

/// <summary>One stored event, as it lies in the journal.</summary>
/// <param name="SequenceNumber">Its place in the stream, from 1.</param>
/// <param name="Serializer">The id of the serializer that wrote the message; null where none is named.</param>
/// <param name="Manifest">Kind and version of the contract.</param>
/// <param name="Message">The event's bytes.</param>
public sealed record JournalRow(long SequenceNumber, int? Serializer, string? Manifest, ReadOnlyMemory<byte> Message);

/// <summary>A stored snapshot, as it lies in the journal.</summary>
/// <param name="SequenceNumber">The last event that is folded into it.</param>
/// <param name="Serializer">The id of the serializer that wrote it; null where none is named.</param>
/// <param name="Manifest">Kind and version of the contract.</param>
/// <param name="Bytes">The snapshot's bytes.</param>
public sealed record SnapshotRow(long SequenceNumber, int? Serializer, string? Manifest, ReadOnlyMemory<byte> Bytes);

/// <summary>A state document that was stored in a transaction of its own, before the event that names it.</summary>
/// <param name="Number">The number of its checkpoint.</param>
/// <param name="SequenceNumber">The sequence number that the event was to have.</param>
public sealed record DocumentAhead(long Number, long SequenceNumber);

/// <summary>
/// Where events, snapshots and state documents are kept. Reads give what is stored and judge nothing;
/// <see cref="EventStream"/> verifies the chain and decodes. Calls may come from any thread. Reads throw
/// <see cref="StoreException"/> where the store cannot be read and <see cref="IntegrityException"/> where it says that it is damaged.
/// </summary>
public interface IJournal : IAsyncDisposable
{
    /// <summary>
    /// Makes the whole append durable in one transaction with one sync. Cancellation is heeded until the transaction begins,
    /// never after, so that an exception always means that nothing was written.
    /// </summary>
    /// <exception cref="ArgumentException">The machine's name is not valid.</exception>
    Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default);

    /// <summary>
    /// Proves that everything that a read of this journal shows now is on the disk. What stands in the system's memory is shown
    /// too, and after <see cref="AppendOutcome.Unknown"/> that may be all there is; so a writer that recovers calls this before
    /// it reads and believes what it reads.
    /// </summary>
    /// <exception cref="StoreException">It cannot be proved, whatever the reason: nothing may be acknowledged then.</exception>
    /// <exception cref="ArgumentException">The machine's name is not valid.</exception>
    Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default);

    /// <summary>The names of the machines that have a stream, in ordinal order.</summary>
    Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default);

    /// <summary>The rows after a sequence number, in their order, at most <paramref name="limit"/> of them.</summary>
    Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default);

    /// <summary>The bytes of a checkpoint's state document; null where there is none.</summary>
    Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default);

    /// <summary>The numbers under which the machine has state documents, ascending.</summary>
    Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default);

    /// <summary>
    /// The state document that was stored last without an event, until an append with its event's sequence number, or a later one,
    /// is known of. Null where there is none, and where the journal does not note it: then a document above the highest
    /// checkpoint counts as a sign of missing events.
    /// </summary>
    Task<DocumentAhead?> LoadDocumentAheadAsync(string vm, CancellationToken cancellationToken = default) => Task.FromResult<DocumentAhead?>(null);

    /// <summary>Stores a snapshot in place of one of the same sequence number, and drops all but the two newest.</summary>
    Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default);

    /// <summary>The snapshot with the highest sequence number; null where there is none.</summary>
    Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default);
}
