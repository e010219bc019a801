namespace Checkpoint.Storage.Segments;

/// <summary>
/// The calls on files that segments are made of. What they do not bring to the disk may be gone after a power failure: a file's
/// content before <see cref="ISegmentFile.Sync"/>, a new name before <see cref="SyncFolder"/>. Every call throws
/// <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> where the system says no.
/// </summary>
internal interface ISegmentFiles
{
    /// <summary>Creates a folder and those above it, where they are missing, each durably.</summary>
    void CreateFolder(string path);

    /// <summary>Opens a new file for reading and writing.</summary>
    /// <exception cref="IOException">There is one already, or it cannot be made.</exception>
    ISegmentFile CreateNew(string path);

    /// <summary>Opens a file for reading, without waiting for anybody; it stays readable when its name is deleted.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="InvalidDataException">Something else than a file has its name; the message says what.</exception>
    /// <exception cref="IOException">It cannot be opened; the error's number is in <see cref="Exception.HResult"/> where it is known.</exception>
    ISegmentFile OpenRead(string path);

    /// <summary>Gives a file another name in the same folder, which nobody has.</summary>
    void Rename(string from, string to);

    /// <summary>Brings a folder's entries to the disk.</summary>
    void SyncFolder(string path);

    /// <summary>Deletes a file if it is there.</summary>
    void Delete(string path);

    /// <summary>The names, without folders, of the files in a folder; none where it is missing.</summary>
    IEnumerable<string> FilesIn(string folder);

    /// <summary>The names, without folders, of the folders in a folder; none where it is missing.</summary>
    IEnumerable<string> FoldersIn(string folder);
}

/// <summary>An open segment file. Reads may come from several threads at once.</summary>
internal interface ISegmentFile : IDisposable
{
    /// <summary>The size of the file, in bytes.</summary>
    long Length { get; }

    /// <summary>Whether anybody had read it before it was opened, since it was written, as far as the file system notes that.</summary>
    bool WasRead => false;

    /// <summary>Reads what there is, at most as much as the buffer takes.</summary>
    /// <returns>How many bytes were read; 0 at the end of the file.</returns>
    int Read(Span<byte> buffer, long offset);

    /// <summary>
    /// Reads as <see cref="Read"/> does, but what is not in the page cache goes straight to the buffer where file system and buffer allow
    /// that: in half the processor's time, and it pushes nothing else out. Whoever reads the same again waits for the disk again.
    /// </summary>
    int ReadPastCache(Span<byte> buffer, long offset) => Read(buffer, offset);

    /// <summary>Writes all of the bytes.</summary>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Writes the pieces behind each other.</summary>
    void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset);

    /// <summary>Brings content and size to the disk.</summary>
    /// <exception cref="IOException">They did not get there: the file is to be abandoned, a second sync would prove nothing.</exception>
    void Sync();
}
