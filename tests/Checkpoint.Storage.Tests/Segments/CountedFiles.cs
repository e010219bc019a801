using System.Buffers;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

/// <summary>The system's files, and of how many pieces each write of several was made.</summary>
internal sealed class CountedFiles : ISegmentFiles
{
    private readonly ISegmentFiles _inner = SystemFiles.Instance;

    public List<int> Pieces { get; } = [];

    public void CreateFolder(string path) => _inner.CreateFolder(path);

    public ISegmentFile CreateNew(string path) => new CountedFile(_inner.CreateNew(path), this);

    public ISegmentFile OpenRead(string path) => _inner.OpenRead(path);

    public void Rename(string from, string to) => _inner.Rename(from, to);

    public void SyncFolder(string path) => _inner.SyncFolder(path);

    public void Delete(string path) => _inner.Delete(path);

    public IEnumerable<string> FilesIn(string folder) => _inner.FilesIn(folder);

    public IEnumerable<string> FoldersIn(string folder) => _inner.FoldersIn(folder);

    private sealed class CountedFile(ISegmentFile inner, CountedFiles files) : ISegmentFile
    {
        public long Length => inner.Length;

        public int Read(Span<byte> buffer, long offset) => inner.Read(buffer, offset);

        public void Write(ReadOnlySpan<byte> bytes, long offset) => inner.Write(bytes, offset);

        public void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset)
        {
            // Index and footer are written together, too.
            if (offset == SegmentFormat.DataOffset)
                files.Pieces.Add(pieces.Count);
            inner.Write(pieces, offset);
        }

        public void Sync() => inner.Sync();

        public void Dispose() => inner.Dispose();
    }
}

/// <summary>Memory behind a manager, as copies of guest memory are.</summary>
internal sealed class OwnMemory(int length) : MemoryManager<byte>
{
    private readonly byte[] _bytes = GC.AllocateArray<byte>(length, pinned: true);

    public override Span<byte> GetSpan() => _bytes;

    public override MemoryHandle Pin(int elementIndex = 0) => _bytes.AsMemory(elementIndex).Pin();

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
