using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Segments;

/// <summary>The files of this host.</summary>
public sealed class SystemFiles : IStoreFiles
{
    private SystemFiles()
    {
    }

    /// <summary>The one there is.</summary>
    public static SystemFiles Instance { get; } = new();

    /// <inheritdoc/>
    public IStoreFile Create(string path) => new SystemFile(OwnerOnly.CreateFile(path, mustBeNew: true));

    /// <inheritdoc/>
    public IStoreFile Open(string path) =>
        new SystemFile(File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));

    /// <inheritdoc/>
    public void Rename(string from, string to) => File.Move(from, to, overwrite: false);

    /// <inheritdoc/>
    public void Delete(string path)
    {
        if (File.Exists(path))
            File.Delete(path);
    }

    /// <inheritdoc/>
    public void CreateFolder(string path) => OwnerOnly.CreateFolder(path);

    /// <inheritdoc/>
    public void SyncFolder(string path) => FileSync.Folder(path);

    /// <inheritdoc/>
    public IEnumerable<string> List(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)) : [];

    private sealed class SystemFile(SafeFileHandle file) : IStoreFile
    {
        public long Length => RandomAccess.GetLength(file);

        public int Read(Span<byte> destination, long offset) => RandomAccess.Read(file, destination, offset);

        public void Write(ReadOnlySpan<byte> bytes, long offset) => RandomAccess.Write(file, bytes, offset);

        public void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset) => RandomAccess.Write(file, pieces, offset);

        public void Sync() => FileSync.File(file);

        public void Dispose() => file.Dispose();
    }
}
