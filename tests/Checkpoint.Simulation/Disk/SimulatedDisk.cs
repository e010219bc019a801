using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Disk;

/// <summary>
/// A disk behind the system's memory. What was written is visible to all at once; a file's content survives a power failure
/// once it was synced, a name once its folder was. What was not may survive too, whole, torn, or not at all.
/// </summary>
internal sealed class SimulatedDisk(SeededRandom random)
{
    private const int SectorBytes = 512;

    private readonly SortedDictionary<string, Folder> _folders = new(StringComparer.Ordinal);

    /// <summary>The streams, which are stored on the same disk.</summary>
    public SortedDictionary<string, SimulatedStream> Streams { get; } = new(StringComparer.Ordinal);

    /// <summary>A folder, made where it is missing; folders survive everything.</summary>
    public Folder FolderAt(string path)
    {
        if (!_folders.TryGetValue(path, out var folder))
            _folders[path] = folder = new Folder();
        return folder;
    }

    public bool HasFolder(string path) => _folders.ContainsKey(path);

    public IEnumerable<string> FoldersBelow(string path) =>
        _folders.Keys.Where(each => Path.GetDirectoryName(each) == path).Select(each => Path.GetFileName(each));

    public SimulatedStream StreamOf(string vm)
    {
        if (!Streams.TryGetValue(vm, out var stream))
            Streams[vm] = stream = new SimulatedStream();
        return stream;
    }

    /// <summary>What was written to a file cannot be brought to the disk, now or later.</summary>
    public void LoseSyncsOf(string path)
    {
        if (FolderAt(Path.GetDirectoryName(path)!).Entries.TryGetValue(Path.GetFileName(path), out var content))
            content.LoseSyncs();
    }

    /// <summary>The power goes and comes back: what was in memory alone is gone, or by chance is not.</summary>
    public void LosePower()
    {
        foreach (var folder in _folders.Values)
            folder.LosePower(random);
        foreach (var stream in Streams.Values)
            stream.LosePower(random);
    }

    /// <summary>The entries of one folder: as everybody sees them, and what has happened to them since the last sync.</summary>
    internal sealed class Folder
    {
        private readonly SortedDictionary<string, Content> _durable = new(StringComparer.Ordinal);
        private readonly List<Change> _changes = [];

        public SortedDictionary<string, Content> Entries { get; } = new(StringComparer.Ordinal);

        public void Add(string name, Content content) => Apply(new Change(null, name, content));

        public void Rename(string from, string to) => Apply(new Change(from, to, Entries[from]));

        public void Remove(string name) => Apply(new Change(name, null, null));

        public void Sync()
        {
            foreach (var change in _changes)
                change.ApplyTo(_durable);
            _changes.Clear();
        }

        /// <summary>Whether a name and all of its content would survive a power failure.</summary>
        public bool IsDurable(string name) =>
            _durable.TryGetValue(name, out var content) && content.IsSynced && Entries.TryGetValue(name, out var seen) && ReferenceEquals(seen, content);

        public void LosePower(SeededRandom random)
        {
            // Some file systems bring changes to the disk in their order, others each when it likes.
            var inOrder = random.Chance(0.5);
            var kept = random.Below(_changes.Count + 1);
            for (var i = 0; i < _changes.Count; i++)
            {
                if (inOrder ? i < kept : random.Chance(0.5))
                    _changes[i].ApplyTo(_durable);
            }

            _changes.Clear();
            Entries.Clear();
            foreach (var (name, content) in _durable)
            {
                content.LosePower(random);
                Entries[name] = content;
            }
        }

        private void Apply(Change change)
        {
            change.ApplyTo(Entries);
            _changes.Add(change);
        }
    }

    /// <summary>One change of a folder: a name that comes, goes, or becomes another in one piece.</summary>
    private sealed record Change(string? From, string? To, Content? Content)
    {
        public void ApplyTo(SortedDictionary<string, Content> entries)
        {
            if (From is not null && !entries.Remove(From) && To is not null)
                return; // What never came to the disk cannot be renamed there.
            if (To is not null)
                entries[To] = Content!;
        }
    }

    /// <summary>The bytes of a file.</summary>
    internal sealed class Content
    {
        private byte[] _bytes = new byte[16 << 10];
        private bool _losesSyncs;

        public int Length { get; private set; }

        /// <summary>Whether all of it has come to the disk.</summary>
        public bool IsSynced { get; private set; } = true;

        public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

        public void Write(ReadOnlySpan<byte> bytes, int offset)
        {
            if (offset + bytes.Length > _bytes.Length)
                Array.Resize(ref _bytes, Math.Max(offset + bytes.Length, _bytes.Length * 2));
            bytes.CopyTo(_bytes.AsSpan(offset));
            Length = Math.Max(Length, offset + bytes.Length);
            IsSynced = false;
        }

        // After one failure the system has dropped what it could not write: the next sync says yes and means nothing.
        public void LoseSyncs() => _losesSyncs = true;

        public void Sync() => IsSynced |= !_losesSyncs;

        public void LosePower(SeededRandom random)
        {
            if (IsSynced)
                return;
            IsSynced = true;
            if (random.Chance(0.2))
                return; // It had been written back meanwhile.
            Length = random.Below(Length + 1);
            for (var at = 0; at < Length; at += SectorBytes)
            {
                if (random.Chance(0.3))
                    _bytes.AsSpan(at, Math.Min(SectorBytes, Length - at)).Clear();
            }
        }
    }
}
