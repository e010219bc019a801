using System.Collections.Concurrent;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// The folder of memory segments, with a subfolder for each machine. A segment is written once, under a name that holds the
/// checkpoint's number and identity, and never changed.
/// </summary>
public sealed class SegmentStore
{
    /// <summary>How a segment's name ends.</summary>
    internal const string Suffix = ".seg";

    /// <summary>What comes behind it while the segment is being written.</summary>
    internal const string TemporarySuffix = ".tmp";

    private readonly SegmentOwner? _owner;
    private readonly ISegmentFiles _files;

    // The segments that were read as a whole, until they are deleted: who reads one a second time makes clones of it. The file system tells of
    // other processes, and where it does not note who reads it, this process remembers at least its own.
    private readonly ConcurrentDictionary<string, ValueTuple> _read = new(StringComparer.Ordinal);

    /// <summary>A folder that no store is asked about.</summary>
    /// <param name="folder">The folder; it is created with the first segment.</param>
    public SegmentStore(string folder)
        : this(folder, SystemFiles.Instance)
    {
    }

    /// <summary>A folder of other files than the system's.</summary>
    internal SegmentStore(string folder, ISegmentFiles files)
    {
        Folder = Path.GetFullPath(folder);
        _files = files;
    }

    /// <summary>The folder of one store.</summary>
    /// <param name="folder">The folder; it is created when the store is first written.</param>
    /// <param name="store">The store's id.</param>
    /// <param name="beside">Whether it is the folder that has the database's name.</param>
    /// <param name="files">The calls on files.</param>
    internal SegmentStore(string folder, string? store, bool beside, ISegmentFiles files)
        : this(folder, files) => _owner = new SegmentOwner(Folder, store, beside);

    /// <summary>The folder, with its full path.</summary>
    public string Folder { get; }

    /// <summary>
    /// Writes a segment and makes it durable, file and folder, before it returns. Pages of zeros are recorded and not stored.
    /// What was written is removed if it fails or is cancelled.
    /// </summary>
    /// <param name="identity">Whose memory it is.</param>
    /// <param name="runs">The memory in ascending order of guest address, without overlaps.</param>
    /// <param name="encoding">Whether data pages are compressed; that takes a processor some 2 ms a MiB, and 4 MiB of memory.</param>
    /// <param name="progress">Told the bytes taken so far, zeros included.</param>
    /// <param name="cancellationToken">Heeded after each MiB.</param>
    /// <returns>What the event must say of it.</returns>
    /// <exception cref="StoreException">It cannot be written or made durable: no room, no permission, an IO error, a folder of another store.</exception>
    /// <exception cref="ArgumentException">The name or a run is not valid.</exception>
    public SegmentPart Write(
        SegmentIdentity identity,
        IEnumerable<PageRun> runs,
        PageEncoding encoding = PageEncoding.None,
        IProgress<long>? progress = null,
        CancellationToken cancellationToken = default)
    {
        MachineNames.Check(identity.Vm);
        var name = NameOf(identity);
        var path = Path.Combine(FolderOf(identity.Vm), name);
        try
        {
            _owner?.Own();
            _files.CreateFolder(FolderOf(identity.Vm));
            var stored = WriteTemporary(path + TemporarySuffix, identity, runs, encoding, progress, cancellationToken);
            _files.Rename(path + TemporarySuffix, path);
            SyncFolder(path);
            return new SegmentPart(name, stored.Digest, stored.SizeBytes);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(
                SystemMessages.IsFull(exception) ? StoreFailure.Full : StoreFailure.Unusable,
                $"the segment {path} cannot be written: {SystemMessages.Of(exception)}; {SystemMessages.AdviceOn(exception)}",
                exception);
        }
    }

    /// <summary>Opens the segment of a checkpoint, and checks its size, footer, index and header against the event.</summary>
    /// <exception cref="IntegrityException">It is missing, or not what the event says.</exception>
    /// <exception cref="StoreException">The folder belongs to another store, or the file cannot be opened.</exception>
    /// <exception cref="ArgumentException">The checkpoint has no segment.</exception>
    public SegmentReader Open(string vm, MachineEvent.CheckpointCommitted committed) => Open(vm, committed, readsAll: false);

    /// <summary>Opens a segment all of whose pages will be read: past the page cache the first time, through it by those who come back to it.</summary>
    internal SegmentReader Open(string vm, MachineEvent.CheckpointCommitted committed, bool readsAll)
    {
        MachineNames.Check(vm);
        var part = committed.Segment ?? throw new ArgumentException($"Checkpoint {committed.Number} has no segment.", nameof(committed));
        var identity = new SegmentIdentity(vm, committed.Number, committed.Id, committed.Mode, committed.Parent);

        _owner?.Check();

        // The name comes out of the journal and becomes part of a path: it must be the one that this checkpoint has.
        if (part.Name != NameOf(identity))
            throw new IntegrityException(vm, "journal", $"its segment is called '{part.Name}', not '{NameOf(identity)}'", checkpoint: committed.Number);
        var path = Path.Combine(FolderOf(vm), part.Name);
        return SegmentReader.Open(_files, path, identity, part, pastCache: readsAll && _read.TryAdd(path, default));
    }

    /// <summary>The machines that have a folder, in ordinal order.</summary>
    public IReadOnlyList<string> ListMachines() =>
        [.. _files.FoldersIn(Folder).Where(name => MachineName.IsValid(name, out _)).Order(StringComparer.Ordinal)];

    /// <summary>The names of a machine's segments, unfinished ones left out, by number.</summary>
    public IReadOnlyList<string> List(string vm) => [.. Files(vm).Where(name => name.EndsWith(Suffix, StringComparison.Ordinal))];

    /// <summary>Deletes a segment, if it is there.</summary>
    /// <param name="held">The machine's lock.</param>
    /// <param name="name">The segment's name.</param>
    /// <exception cref="StoreException">It cannot be deleted.</exception>
    public void Delete(IMachineLock held, string name)
    {
        MachineLocks.Check(held);
        CheckOwner();
        if (name != Path.GetFileName(name))
            throw new ArgumentException($"'{name}' is no file name.", nameof(name));
        var path = Path.Combine(FolderOf(held.Vm), name);
        try
        {
            _files.Delete(path);
            _read.TryRemove(path, out _);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(StoreFailure.Unusable, $"the segment {path} cannot be deleted: {SystemMessages.Of(exception)}; {SystemMessages.AdviceOn(exception)}", exception);
        }
    }

    /// <summary>
    /// Removes segments and unfinished files that no live checkpoint names. Not to be called while a checkpoint of the machine is
    /// being stored: its segment is there before its event.
    /// </summary>
    /// <param name="held">The machine's lock.</param>
    /// <param name="history">The machine's history, up to date.</param>
    /// <returns>The names of the files that were removed.</returns>
    /// <exception cref="StoreException">A file cannot be deleted.</exception>
    public IReadOnlyList<string> Sweep(IMachineLock held, MachineHistory history)
    {
        MachineLocks.Check(held);
        CheckOwner();
        if (history.Registration is { } registration && registration.Vm != held.Vm)
            throw new ArgumentException($"The history of '{registration.Vm}' says nothing of '{held.Vm}'.", nameof(history));
        var orphans = Orphans(held.Vm, history);
        foreach (var name in orphans)
            Delete(held, name);
        return orphans;
    }

    /// <summary>The names of segments and unfinished files that no live checkpoint names.</summary>
    internal IReadOnlyList<string> Orphans(string vm, MachineHistory history)
    {
        var live = history.Live.Values.Select(committed => committed.Segment?.Name).ToHashSet(StringComparer.Ordinal);
        return [.. Files(vm).Where(name => !live.Contains(name))];
    }

    /// <summary>The number comes first and has leading zeros, so that names sort by it; the identity makes a name unique for ever.</summary>
    internal static string NameOf(SegmentIdentity identity) => $"{identity.Number:D12}-{identity.Id}{Suffix}";

    /// <summary>Refuses a folder of another store, before anything in it is deleted.</summary>
    internal void CheckOwner() => _owner?.CheckAndTryToOwn();

    internal string FolderOf(string vm) => Path.Combine(Folder, vm);

    private StoredPart WriteTemporary(
        string path,
        SegmentIdentity identity,
        IEnumerable<PageRun> runs,
        PageEncoding encoding,
        IProgress<long>? progress,
        CancellationToken cancellationToken)
    {
        ISegmentFile? file = null;
        try
        {
            file = _files.CreateNew(path);
            using var writer = new SegmentWriter(file, encoding, progress, cancellationToken);
            var stored = writer.Write(identity, runs);
            file.Sync();
            return stored;
        }
        catch when (file is not null)
        {
            // After a failed sync nothing that the file says can be believed, so it goes whatever the reason was.
            TryDelete(path);
            throw;
        }
        finally
        {
            file?.Dispose();
        }
    }

    private void SyncFolder(string path)
    {
        try
        {
            _files.SyncFolder(Path.GetDirectoryName(path)!);
        }
        catch (IOException)
        {
            TryDelete(path);
            throw;
        }
    }

    // What cannot be deleted now is named by no event, and swept; the caller must hear why it was to go.
    private void TryDelete(string path)
    {
        try
        {
            _files.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>Files of ours, finished or not; whatever else lies in the folder is not ours to touch.</summary>
    private IEnumerable<string> Files(string vm)
    {
        MachineNames.Check(vm);
        return _files.FilesIn(FolderOf(vm))
            .Where(name => name.EndsWith(Suffix, StringComparison.Ordinal) || name.EndsWith(Suffix + TemporarySuffix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);
    }
}
