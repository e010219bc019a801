namespace Checkpoint.Storage.Segments;

/// <summary>The operating system's files.</summary>
internal sealed class SystemFiles : ISegmentFiles
{
    private SystemFiles()
    {
    }

    /// <summary>The one that there is.</summary>
    public static SystemFiles Instance { get; } = new();

    public void CreateFolder(string path) => OwnerOnly.CreateFolder(path);

    public ISegmentFile CreateNew(string path) => new SystemFile(OwnerOnly.CreateFile(path, mustBeNew: true));

    public ISegmentFile OpenRead(string path) => new SystemFile(FileSync.OpenRegular(path));

    public void Rename(string from, string to) => File.Move(from, to, overwrite: false);

    public void SyncFolder(string path) => FileSync.Folder(path);

    public void Delete(string path)
    {
        if (File.Exists(path))
            File.Delete(path);
    }

    public IEnumerable<string> FilesIn(string folder) => Directory.Exists(folder) ? Directory.EnumerateFiles(folder).Select(NameOf) : [];

    public IEnumerable<string> FoldersIn(string folder) => Directory.Exists(folder) ? Directory.EnumerateDirectories(folder).Select(NameOf) : [];

    private static string NameOf(string path) => Path.GetFileName(path);
}
