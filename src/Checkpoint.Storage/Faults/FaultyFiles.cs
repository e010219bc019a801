using Checkpoint.Protocol.Faults;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Faults;

/// <summary>Files some of whose calls go wrong: no room, a failed sync, a disk that takes its time.</summary>
/// <param name="inner">The files.</param>
/// <param name="faults">What is to go wrong.</param>
public sealed class FaultyFiles(IStoreFiles inner, FaultPlan faults) : IStoreFiles
{
    private const string Participant = "files";

    /// <inheritdoc/>
    public IStoreFile Create(string path)
    {
        Take(FaultCalls.FileOpen, path);
        return new FaultyFile(inner.Create(path), path, this);
    }

    /// <inheritdoc/>
    public IStoreFile Open(string path)
    {
        Take(FaultCalls.FileOpen, path);
        return new FaultyFile(inner.Open(path), path, this);
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        Take(FaultCalls.FileRename, from);
        inner.Rename(from, to);
    }

    /// <inheritdoc/>
    public void Delete(string path)
    {
        Take(FaultCalls.FileDelete, path);
        inner.Delete(path);
    }

    /// <inheritdoc/>
    public void CreateFolder(string path) => inner.CreateFolder(path);

    /// <inheritdoc/>
    public void SyncFolder(string path)
    {
        Take(FaultCalls.FolderSync, path);
        inner.SyncFolder(path);
    }

    /// <inheritdoc/>
    public IEnumerable<string> List(string folder) => inner.List(folder);

    private void Take(string call, string path)
    {
        if (StoreFault.Take(faults, call, Participant) is { } errno)
            throw new IOException($"{call} of {path} failed: {StoreFault.Describe(errno)}");
    }

    private sealed class FaultyFile(IStoreFile file, string path, FaultyFiles files) : IStoreFile
    {
        public long Length => file.Length;

        public int Read(Span<byte> destination, long offset)
        {
            files.Take(FaultCalls.FileRead, path);
            return file.Read(destination, offset);
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
