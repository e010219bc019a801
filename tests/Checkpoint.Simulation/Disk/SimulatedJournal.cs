using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Simulation.Disk;

/// <summary>
/// The journal as one process sees it: the contract of <see cref="IJournal"/> on a disk that can lose power. Reads take a while;
/// an append is one moment.
/// </summary>
/// <param name="world">Whose disk it is.</param>
/// <param name="process">Who sees it; null: an onlooker for whom nothing goes wrong and nothing takes time.</param>
internal sealed class SimulatedJournal(World world, SimulatedProcess? process) : IJournal
{
    private const int KeptSnapshots = 2;

    private readonly EncodedEvents _encoded = new();

    public Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default) => Task.FromResult(Append(append));

    public async Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default)
    {
        await WaitAsync().ConfigureAwait(false);
        world.Disk.StreamOf(vm).Sync();
    }

    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default)
    {
        CheckAlive();
        return Task.FromResult<IReadOnlyList<string>>([.. world.Disk.Streams.Where(stream => stream.Value.Rows.Count > 0).Select(stream => stream.Key)]);
    }

    public async Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default)
    {
        await WaitAsync().ConfigureAwait(false);
        return [.. world.Disk.StreamOf(vm).Rows.Skip((int)after).Take(limit)];
    }

    public async Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default)
    {
        await WaitAsync().ConfigureAwait(false);
        return world.Disk.StreamOf(vm).Documents.TryGetValue(number, out var bytes) ? bytes : null;
    }

    public async Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default)
    {
        await WaitAsync().ConfigureAwait(false);
        return [.. world.Disk.StreamOf(vm).Documents.Keys];
    }

    public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default)
    {
        CheckAlive();
        var stream = world.Disk.StreamOf(vm);
        var snapshots = stream.Snapshots.SetItem(snapshot.SequenceNumber, snapshot with { Bytes = snapshot.Bytes.ToArray() });
        snapshots = snapshots.RemoveRange(snapshots.Keys.SkipLast(KeptSnapshots));
        stream.Commit(stream.Visible with { Snapshots = snapshots }, isSynced: true);
        return Task.CompletedTask;
    }

    public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default)
    {
        CheckAlive();
        return Task.FromResult(world.Disk.StreamOf(vm).Snapshots is { Count: > 0 } snapshots ? snapshots.Last().Value : null);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private AppendOutcome Append(JournalAppend append)
    {
        CheckAlive();
        var stream = world.Disk.StreamOf(append.Vm);
        var isSynced = !stream.TakeLostSync();
        if (stream.Head != append.Expected)
            return new AppendOutcome.Conflict(Conflicts.Describe(append, stream.Head.SequenceNumber));

        // The power may go with the transaction written or not; either way nobody hears of it.
        var isLast = process is not null && world.Strikes(FaultKind.PowerLostInCall, append.Vm);
        if (isLast && world.Random.Chance(0.5))
            return LosePower();
        stream.Commit(After(stream.Visible, append), isSynced);
        world.OnAppended(process, append, _encoded.Head);
        return isLast ? LosePower() : new AppendOutcome.Committed(_encoded.Head);
    }

    private AppendOutcome.Unknown LosePower()
    {
        world.LosePower();
        return new AppendOutcome.Unknown("the process has ended");
    }

    private SimulatedStream.State After(SimulatedStream.State state, JournalAppend append)
    {
        _encoded.Encode(state.Head, append.Events);
        var rows = state.Rows;
        for (var i = 0; i < _encoded.Count; i++)
            rows = rows.Add(new JournalRow(state.Head.SequenceNumber + 1 + i, EventCodec.SerializerId, _encoded.Manifest(i), _encoded.Message(i).ToArray()));
        var documents = state.Documents.RemoveRange(append.DeleteStateDocuments);
        if (append.StateDocument is { } document)
            documents = documents.SetItem(document.Number, document.Bytes.ToArray());
        return state with { Rows = rows, Head = _encoded.Head, Documents = documents };
    }

    private Task WaitAsync()
    {
        CheckAlive();
        return process is null ? Task.CompletedTask : world.Scheduler.DelayAsync(world.Random.Between(5, 300), process);
    }

    private void CheckAlive()
    {
        if (process is { IsAlive: false })
            throw new StoreException(StoreFailure.Unusable, "the process has ended");
    }
}
