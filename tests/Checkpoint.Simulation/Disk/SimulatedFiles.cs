using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Simulation.Disk;

/// <summary>The files of a disk as one process sees them.</summary>
/// <param name="world">Whose disk it is.</param>
/// <param name="process">Who sees it; null: an onlooker for whom the power stays.</param>
internal sealed class SimulatedFiles(World world, SimulatedProcess? process) : ISegmentFiles
{
    private SimulatedDisk Disk => world.Disk;

    public void CreateFolder(string path)
    {
        CheckAlive();
        Disk.FolderAt(path);
    }

    public ISegmentFile CreateNew(string path)
    {
        Check(path);
        var folder = FolderOf(path);
        if (folder.Entries.ContainsKey(NameOf(path)))
            throw new IOException($"{path} exists already");
        var content = new SimulatedDisk.Content();
        content.Write([], 0);
        folder.Add(NameOf(path), content);
        return new OpenFile(this, path, content);
    }

    public ISegmentFile OpenRead(string path)
    {
        CheckAlive();
        return Disk.HasFolder(Path.GetDirectoryName(path)!) && FolderOf(path).Entries.TryGetValue(NameOf(path), out var content)
            ? new OpenFile(this, path, content)
            : throw new FileNotFoundException($"{path} is not there");
    }

    public void Rename(string from, string to)
    {
        Check(from);
        FolderOf(from).Rename(NameOf(from), NameOf(to));
        world.History.Note(process?.Name ?? "", $"renames {NameOf(from)}");
    }

    public void SyncFolder(string path)
    {
        CheckAlive();
        CheckPower(Path.GetFileName(path));
        Disk.FolderAt(path).Sync();
    }

    public void Delete(string path)
    {
        Check(path);
        if (!Disk.HasFolder(Path.GetDirectoryName(path)!) || !FolderOf(path).Entries.ContainsKey(NameOf(path)))
            return;
        FolderOf(path).Remove(NameOf(path));
        world.History.Note(process?.Name ?? "", $"deletes {NameOf(path)}");
        world.OnDeleted(VmOf(path), NameOf(path));
    }

    public IEnumerable<string> FilesIn(string folder)
    {
        CheckAlive();
        return Disk.HasFolder(folder) ? [.. Disk.FolderAt(folder).Entries.Keys] : [];
    }

    public IEnumerable<string> FoldersIn(string folder)
    {
        CheckAlive();
        return Disk.FoldersBelow(folder);
    }

    private static string NameOf(string path) => Path.GetFileName(path);

    private static string VmOf(string path) => Path.GetFileName(Path.GetDirectoryName(path)!);

    private SimulatedDisk.Folder FolderOf(string path) => Disk.FolderAt(Path.GetDirectoryName(path)!);

    private void CheckAlive()
    {
        // The code of a process that has ended runs on to its next call in this simulation; it reaches nothing any more.
        if (process is { IsAlive: false })
            throw new IOException("the process has ended");
    }

    private void Check(string path)
    {
        CheckAlive();
        CheckPower(VmOf(path));
    }

    private void CheckPower(string vm)
    {
        if (process is null || !world.Strikes(FaultKind.PowerLostInCall, vm))
            return;
        world.LosePower();
        CheckAlive();
    }

    private sealed class OpenFile(SimulatedFiles files, string path, SimulatedDisk.Content content) : ISegmentFile
    {
        public long Length => content.Length;

        public int Read(Span<byte> buffer, long offset)
        {
            files.CheckAlive();
            if (offset >= content.Length)
                return 0;
            var length = Math.Min(buffer.Length, content.Length - (int)offset);
            content.Bytes.Slice((int)offset, length).CopyTo(buffer);
            return length;
        }

        public void Write(ReadOnlySpan<byte> bytes, long offset)
        {
            files.Check(path);
            content.Write(bytes, (int)offset);
        }

        public void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset)
        {
            foreach (var piece in pieces)
            {
                Write(piece.Span, offset);
                offset += piece.Length;
            }
        }

        public void Sync()
        {
            files.Check(path);
            content.Sync();
        }

        public void Dispose()
        {
        }
    }
}
