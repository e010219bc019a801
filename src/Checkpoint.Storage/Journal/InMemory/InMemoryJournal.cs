using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Journal.InMemory;

/// <summary>A journal that is gone with its process: for tests, simulations and machines that need no durability.</summary>
public sealed class InMemoryJournal(InMemoryDatabase database) : IJournal
{
    private const int KeptSnapshots = 2;

    private readonly EncodedEvents _encoded = new();

    /// <inheritdoc/>
    public Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default)
    {
        MachineNames.Check(append.Vm);
        cancellationToken.ThrowIfCancellationRequested();
        lock (database.Gate)
            return Task.FromResult(Append(append));
    }

    /// <summary>Nothing is to be done: what can be read here lasts as long as anything of this database does.</summary>
    public Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default)
    {
        MachineNames.Check(vm);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default)
    {
        lock (database.Gate)
        {
            var names = database.Streams.Where(stream => stream.Value.Rows.Count > 0).Select(stream => stream.Key);
            return Task.FromResult<IReadOnlyList<string>>([.. names.Order(StringComparer.Ordinal)]);
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default) =>
        Read<IReadOnlyList<JournalRow>>(vm, stream => [.. stream.Rows.Where(row => row.SequenceNumber > after).Take(limit)], []);

    /// <inheritdoc/>
    public Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default) =>
        Read<ReadOnlyMemory<byte>?>(vm, stream => stream.Documents.TryGetValue(number, out var bytes) ? (ReadOnlyMemory<byte>?)bytes : null, null);

    /// <inheritdoc/>
    public Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default) =>
        Read<IReadOnlyList<long>>(vm, stream => [.. stream.Documents.Keys], []);

    /// <inheritdoc/>
    public Task<DocumentAhead?> LoadDocumentAheadAsync(string vm, CancellationToken cancellationToken = default) => Read(vm, stream => stream.Ahead, null);

    /// <inheritdoc/>
    public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default)
    {
        MachineNames.Check(vm);
        lock (database.Gate)
        {
            var snapshots = database.Stream(vm).Snapshots;
            snapshots[snapshot.SequenceNumber] = snapshot with { Bytes = snapshot.Bytes.ToArray() };
            foreach (var old in snapshots.Keys.SkipLast(KeptSnapshots).ToArray())
                snapshots.Remove(old);
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default) =>
        Read(vm, stream => stream.Snapshots.Count > 0 ? stream.Snapshots.Last().Value : null, null);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private AppendOutcome Append(JournalAppend append)
    {
        var stream = database.Stream(append.Vm);
        var head = stream.Rows is [.., var last] ? new JournalHead(last.SequenceNumber, Digest.Of(last.Message.Span)) : JournalHead.Empty;
        if (head != append.Expected)
            return new AppendOutcome.Conflict(Conflicts.Describe(append, head.SequenceNumber));

        _encoded.Encode(head, append.Events);
        for (var i = 0; i < _encoded.Count; i++)
        {
            var number = head.SequenceNumber + 1 + i;
            stream.Rows.Add(new JournalRow(number, EventCodec.SerializerId, _encoded.Manifest(i), _encoded.Message(i).ToArray()));
        }

        foreach (var number in append.DeleteStateDocuments)
            stream.Documents.Remove(number);
        if (append.StateDocument is { } document)
            stream.Documents[document.Number] = document.Bytes.ToArray();
        if (append.Events.Count == 0 && append.StateDocument is { } ahead)
            stream.Ahead = new DocumentAhead(ahead.Number, head.SequenceNumber + 1);
        else if (stream.Ahead?.SequenceNumber <= _encoded.Head.SequenceNumber)
            stream.Ahead = null;
        return new AppendOutcome.Committed(_encoded.Head);
    }

    private Task<T> Read<T>(string vm, Func<InMemoryStream, T> read, T absent)
    {
        lock (database.Gate)
            return Task.FromResult(database.Streams.TryGetValue(vm, out var stream) ? read(stream) : absent);
    }
}
