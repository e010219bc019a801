using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Faults;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Journal.InMemory;
using Checkpoint.Storage.Journal.Sqlite;
using Checkpoint.Storage.Locks;
using Checkpoint.Storage.Payloads;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage;

/// <summary>How to open a store.</summary>
/// <param name="Uri"><c>sqlite:PATH</c> or <c>memory:</c>; null for <see cref="StoreUri.Default"/>.</param>
/// <param name="SegmentsFolder">The folder of the memory segments; null for <c>PATH.d</c> beside an SQLite file.</param>
/// <param name="ReadOnly">Whether to read only: then nothing is created.</param>
public sealed record StoreOptions(string? Uri = null, string? SegmentsFolder = null, bool ReadOnly = false)
{
    /// <summary>What is to go wrong in this store (docs/FAULTS.md); null: the store is used as it is.</summary>
    public FaultPlan? Faults { get; init; }
}

/// <summary>What a sweep removed of one machine.</summary>
/// <param name="Segments">The names of segment files, unfinished ones among them.</param>
/// <param name="StateDocuments">The numbers of state documents.</param>
/// <param name="History">The machine's history, folded from its first event.</param>
public sealed record SweepReport(IReadOnlyList<string> Segments, IReadOnlyList<long> StateDocuments, MachineHistory History);

/// <summary>The door to everything stored: the journal, the state documents, the memory segments and the machines' locks.</summary>
public sealed class CheckpointStore : IAsyncDisposable
{
    private readonly Func<string, IMachineLock> _lock;
    private readonly string? _temporaryFolder;

    private CheckpointStore(IJournal journal, SegmentStore segments, Func<string, IMachineLock> @lock, string? temporaryFolder)
    {
        Journal = journal;
        Segments = segments;
        _lock = @lock;
        _temporaryFolder = temporaryFolder;
    }

    /// <summary>The events, snapshots and state documents.</summary>
    public IJournal Journal { get; }

    /// <summary>The memory segments.</summary>
    public SegmentStore Segments { get; }

    /// <summary>Opens a store; for writing it is created where it is missing.</summary>
    /// <exception cref="StoreException">There is no such store, or it cannot be used.</exception>
    public static CheckpointStore Open(StoreOptions options, TimeProvider time)
    {
        ISegmentFiles files = options.Faults is { } faults ? new FaultyFiles(SystemFiles.Instance, faults) : SystemFiles.Instance;
        if (StoreUri.Parse(options.Uri).SqlitePath is { } path)
        {
            var journal = SqliteJournal.Open(path, options.ReadOnly, time);
            var beside = path + ".d";
            var folder = Path.GetFullPath(options.SegmentsFolder ?? beside);
            var segments = new SegmentStore(folder, journal.StoreId, Path.TrimEndingDirectorySeparator(folder) == beside, files);
            return new CheckpointStore(
                Decorate(journal, options.Faults),
                segments,
                vm => options.ReadOnly
                    ? throw new StoreException(StoreFailure.Unusable, $"the store {path} is open for reading only; open it for writing to lock '{vm}'")
                    : Lock(path + ".lock", vm, segments, options.Faults),
                null);
        }

        var database = new InMemoryDatabase();
        var temporary = options.SegmentsFolder is null ? Directory.CreateTempSubdirectory("checkpoint-").FullName : null;
        return new CheckpointStore(
            Decorate(new InMemoryJournal(database), options.Faults),
            new SegmentStore(options.SegmentsFolder ?? temporary!, files),
            vm =>
            {
                LockFault.Throw(options.Faults, vm);
                return InMemoryMachineLock.Acquire(database, vm);
            },
            temporary);
    }

    /// <summary>The same store with another journal around its own: whoever tests what is above it orders faults there.</summary>
    internal CheckpointStore Around(Func<IJournal, IJournal> around) => new(around(Journal), Segments, _lock, _temporaryFolder);
    /// <summary>A store that is made of these parts.</summary>
    /// <param name="journal">The journal; the store disposes of it.</param>
    /// <param name="segments">The segments.</param>
    /// <param name="lock">Takes the lock of a machine.</param>
    internal static CheckpointStore Of(IJournal journal, SegmentStore segments, Func<string, IMachineLock> @lock) => new(journal, segments, @lock, null);

    /// <summary>Takes the lock of a machine: the right to write its stream and parts.</summary>
    /// <exception cref="StoreException">Somebody else holds it (the message says who where that is known), the store is open for reading only, or its segments folder is another store's.</exception>
    /// <exception cref="ArgumentException">The name is not valid.</exception>
    public IMachineLock Lock(string vm) => _lock(vm);

    /// <summary>The names of the machines that have a stream, in ordinal order.</summary>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default) =>
        Journal.ListMachinesAsync(cancellationToken);

    /// <summary>A machine's history; <see cref="MachineHistory.Empty"/> where it has no stream.</summary>
    /// <exception cref="IntegrityException">The stream is damaged.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public Task<MachineHistory> RecoverAsync(string vm, CancellationToken cancellationToken = default) =>
        EventStream.RecoverAsync(Journal, vm, cancellationToken);

    /// <summary>The bytes of a checkpoint's state document, checked against the size and digest in its event.</summary>
    /// <exception cref="IntegrityException">The document is missing or is not what was written.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadStateDocumentAsync(
        string vm,
        MachineEvent.CheckpointCommitted committed,
        CancellationToken cancellationToken = default)
    {
        var found = await Journal.ReadStateDocumentAsync(vm, committed.Number, cancellationToken).ConfigureAwait(false);
        if (found is not { } bytes)
            throw Damaged(vm, committed, "it is missing");
        if (bytes.Length != committed.State.SizeBytes)
            throw Damaged(vm, committed, $"it has {bytes.Length} bytes, not {committed.State.SizeBytes}");
        return Digest.Of(bytes.Span) == committed.State.Digest
            ? bytes
            : throw Damaged(vm, committed, "it does not have the digest that its event says");
    }

    /// <summary>A checkpoint's state document.</summary>
    /// <exception cref="IntegrityException">The document is missing, is not what was written, or cannot be decoded.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public async Task<StateDocument> LoadAsync(string vm, MachineEvent.CheckpointCommitted committed, CancellationToken cancellationToken = default)
    {
        var bytes = await ReadStateDocumentAsync(vm, committed, cancellationToken).ConfigureAwait(false);
        try
        {
            return StateDocumentCodec.Decode(bytes);
        }
        catch (PayloadException exception)
        {
            throw Damaged(vm, committed, exception.Message, exception);
        }
    }

    /// <summary>Opens a checkpoint's memory, with the segments that it builds on.</summary>
    /// <exception cref="IntegrityException">A segment is missing, or not what its event says.</exception>
    /// <exception cref="StoreException">The journal cannot be read.</exception>
    public async Task<StoredMemory> OpenMemoryAsync(string vm, MachineEvent.CheckpointCommitted committed, CancellationToken cancellationToken = default)
    {
        // Only an increment builds on others: for a full checkpoint the stream need not be read again.
        var history = committed.Mode == CheckpointMode.Full ? MachineHistory.Empty : await RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
        return StoredMemory.Open(Segments, vm, history, committed);
    }

    /// <summary>
    /// Removes the segments, unfinished files and state documents of a machine that no live checkpoint names. Not to be called
    /// while a checkpoint of the machine is being stored.
    /// </summary>
    /// <param name="held">The machine's lock.</param>
    /// <param name="cancellationToken">Ends it between its steps.</param>
    /// <exception cref="IntegrityException">The stream is damaged: then nobody knows what is live, and nothing is removed.</exception>
    /// <exception cref="StoreException">Something cannot be read or removed.</exception>
    public async Task<SweepReport> SweepAsync(IMachineLock held, CancellationToken cancellationToken = default)
    {
        MachineLocks.Check(held);
        Segments.CheckOwner();

        // What is deleted does not come back. So the stream is read from its first event, for which no snapshot can stand, and it
        // is on the disk before the parts go that it has pruned.
        var history = await EventStream.CatchUpAsync(Journal, held.Vm, MachineHistory.Empty, cancellationToken).ConfigureAwait(false);
        var stored = await Journal.ListStateDocumentsAsync(held.Vm, cancellationToken).ConfigureAwait(false);
        long[] orphans = [.. stored.Where(number => !history.Live.ContainsKey(number))];
        if (orphans.Length > 0 || Segments.Orphans(held.Vm, history).Count > 0)
            await Journal.ProveDurableAsync(held.Vm, cancellationToken).ConfigureAwait(false);
        if (orphans.Length > 0)
        {
            // The expected head is the fence: had somebody else written since, these might be live.
            var append = new JournalAppend(held.Vm, history.Head, [], null, orphans);
            var outcome = await Journal.AppendAsync(append, cancellationToken).ConfigureAwait(false);
            // On a full disk the segments are what frees it: they go, and the documents with a later sweep.
            if (outcome is AppendOutcome.Refused { HasNoRoom: true })
                orphans = [];
            else if (outcome is not AppendOutcome.Committed)
                throw new StoreException(StoreFailure.Unusable, $"the state documents of '{held.Vm}' cannot be swept: {outcome.Obstacle}");
        }

        return new SweepReport(Segments.Sweep(held, history), orphans, history);
    }

    /// <summary>
    /// Reads everything back: the chain and the fold of events, state documents with their digests, segments with their indexes
    /// and the checksum of every page. May run while machines run, checkpoint and prune in other processes.
    /// </summary>
    /// <param name="vm">One machine; null for all.</param>
    /// <param name="number">One of its checkpoints, with those that it builds on; null for all.</param>
    /// <param name="progress">Told of what is being read.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="StoreException">There is no such machine or checkpoint, or the journal cannot be read at all.</exception>
    public Task<VerifyReport> VerifyAsync(
        string? vm = null,
        long? number = null,
        IProgress<VerifyProgress>? progress = null,
        CancellationToken cancellationToken = default) =>
        new StoreVerifier(this, progress, cancellationToken).VerifyAsync(vm, number);

    /// <summary>Closes the journal. Locks are the caller's to give back.</summary>
    public async ValueTask DisposeAsync()
    {
        await Journal.DisposeAsync().ConfigureAwait(false);
        if (_temporaryFolder is not null && Directory.Exists(_temporaryFolder))
            Directory.Delete(_temporaryFolder, recursive: true);
    }

    private static IJournal Decorate(IJournal journal, FaultPlan? faults) => faults is null ? journal : new FaultyJournal(journal, faults);

    private static FileMachineLock Lock(string folder, string vm, SegmentStore segments, FaultPlan? faults)
    {
        LockFault.Throw(faults, vm);
        var held = FileMachineLock.Acquire(folder, vm);
        try
        {
            segments.CheckOwner();
            return held;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    private static IntegrityException Damaged(string vm, MachineEvent.CheckpointCommitted committed, string what, Exception? inner = null) =>
        new(vm, "state document", what, checkpoint: committed.Number, inner: inner);
}
