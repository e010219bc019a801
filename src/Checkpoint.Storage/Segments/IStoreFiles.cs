namespace Checkpoint.Storage.Segments;

/// <summary>
/// The calls on files that segments are made of. Every call throws <see cref="IOException"/> or
/// <see cref="UnauthorizedAccessException"/> when the system says no.
/// </summary>
public interface IStoreFiles
{
    /// <summary>Creates a file, mode 0600, for writing; it must not be there.</summary>
    IStoreFile Create(string path);

    /// <summary>Opens a file for reading. It stays readable after it was deleted.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    IStoreFile Open(string path);

    /// <summary>Gives a file another name in the same folder; nothing may have that name.</summary>
    void Rename(string from, string to);

    /// <summary>Deletes a file, if it is there.</summary>
    void Delete(string path);

    /// <summary>Creates a folder, mode 0700, and those above it, where they are missing, and makes each new entry durable.</summary>
    void CreateFolder(string path);

    /// <summary>Brings a folder's entries to the disk: new names, renames and removals.</summary>
    void SyncFolder(string path);

    /// <summary>The names of the files in a folder; none where there is no such folder.</summary>
    IEnumerable<string> List(string folder);
}

/// <summary>An open file.</summary>
public interface IStoreFile : IDisposable
{
    /// <summary>Its size in bytes.</summary>
    long Length { get; }

    /// <summary>Reads what there is from an offset on, at most as much as fits.</summary>
    /// <returns>How many bytes; 0 at the end.</returns>
    int Read(Span<byte> destination, long offset);

    /// <summary>Writes all of it.</summary>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Writes all pieces, one behind the other.</summary>
    void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset);

    /// <summary>Brings content and size to the disk. After a failure the file is to be abandoned: a second sync proves nothing.</summary>
    void Sync();
}
