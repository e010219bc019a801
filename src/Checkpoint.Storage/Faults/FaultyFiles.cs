using Checkpoint.Protocol.Faults;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Faults;

/// <summary>Files some of whose calls go wrong: no room, a failed sync, a disk that takes its time.</summary>
/// <param name="inner">The files.</param>
/// <param name="faults">What is to go wrong.</param>
internal sealed class FaultyFiles(ISegmentFiles inner, FaultPlan faults) : ISegmentFiles
{
    private const string Participant = "files";

    public ISegmentFile CreateNew(string path)
    {
        Take(FaultCalls.FileOpen, path);
        return new FaultyFile(inner.CreateNew(path), path, this);
    }

    public ISegmentFile OpenRead(string path)
    {
        Take(FaultCalls.FileOpen, path);
        return new FaultyFile(inner.OpenRead(path), path, this);
    }

    public void Rename(string from, string to)
    {
        Take(FaultCalls.FileRename, from);
        inner.Rename(from, to);
    }

    public void Delete(string path)
    {
        Take(FaultCalls.FileDelete, path);
        inner.Delete(path);
    }

    public void CreateFolder(string path) => inner.CreateFolder(path);

    public void SyncFolder(string path)
    {
        Take(FaultCalls.FolderSync, path);
        inner.SyncFolder(path);
    }

    public IEnumerable<string> FilesIn(string folder) => inner.FilesIn(folder);

    public IEnumerable<string> FoldersIn(string folder) => inner.FoldersIn(folder);

    private void Take(string call, string path)
    {
        if (!faults.IsAbout(call))
            return;
        // Each machine has a folder of its own, which bears its name.
        var folder = call == FaultCalls.FolderSync ? path : Path.GetDirectoryName(path);
        if (StoreFault.Take(faults, new FaultSite(call, Participant) { Machine = Path.GetFileName(folder), Path = path }) is { } errno)
            throw new IOException($"{call} of {path} failed: {StoreFault.Describe(errno)}", errno);
    }

    private sealed class FaultyFile(ISegmentFile file, string path, FaultyFiles files) : ISegmentFile
    {
        public long Length => file.Length;

        public bool WasRead => file.WasRead;

        public int Read(Span<byte> buffer, long offset)
        {
            files.Take(FaultCalls.FileRead, path);
            return file.Read(buffer, offset);
        }

        public int ReadPastCache(Span<byte> buffer, long offset)
        {
            files.Take(FaultCalls.FileRead, path);
            return file.ReadPastCache(buffer, offset);
        }

        public void Write(ReadOnlySpan<byte> bytes, long offset)
        {
            files.Take(FaultCalls.FileWrite, path);
            file.Write(bytes, offset);
        }

        public void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset)
        {
            files.Take(FaultCalls.FileWrite, path);
            file.Write(pieces, offset);
        }

        public void Sync()
        {
            files.Take(FaultCalls.FileSync, path);
            file.Sync();
        }

        public void Dispose() => file.Dispose();
    }
}
