using System.Diagnostics;
using System.Globalization;
using Checkpoint.Storage.Segments;

namespace Checkpoint.FaultSoak;

/// <summary>What this process holds of things that leak.</summary>
/// <param name="ThreadKinds">How many threads there are of each name, its numbers left out.</param>
/// <param name="FdKinds">How many file descriptors there are of each kind.</param>
/// <param name="Mappings">Mapped ranges of memory.</param>
/// <param name="ResidentBytes">Resident memory.</param>
/// <param name="ManagedBytes">Managed memory in use.</param>
internal sealed record Figures(
    IReadOnlyDictionary<string, int> ThreadKinds, IReadOnlyDictionary<string, int> FdKinds, int Mappings, long ResidentBytes, long ManagedBytes)
{
    private const double MiB = 1 << 20;
    private const string AnonymousInode = "anon_inode:";

    private static readonly string[] s_engineThreads = ["machine", "store", "vcpu", "device", "memory "];
    private static readonly string[] s_engineFds = ["kvm", "userfaultfd", ".db", ".lock", SegmentStore.Suffix, SegmentStore.TemporarySuffix];

    /// <summary>All threads.</summary>
    public int Threads => ThreadKinds.Values.Sum();

    /// <summary>Those of vCPUs, machines, devices and stores, by their names.</summary>
    public int EngineThreads => ThreadKinds.Where(kind => IsEngineThread(kind.Key)).Sum(kind => kind.Value);

    /// <summary>File descriptors.</summary>
    public int Fds => FdKinds.Values.Sum();

    /// <summary>Of these those that the engine opens: KVM's, those of guest memory, and the store's files.</summary>
    public int EngineFds => FdKinds.Where(kind => IsEngineFd(kind.Key)).Sum(kind => kind.Value);

    /// <summary>The figures now, after a collection.</summary>
    public static Figures Take()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        using var process = Process.GetCurrentProcess();
        return new Figures(
            Count(Directory.GetDirectories("/proc/self/task").Select(NameOf).Where(name => name.Length > 0)),
            Count(Directory.GetFiles("/proc/self/fd").Select(KindOfFd).Where(kind => kind.Length > 0)),
            File.ReadLines("/proc/self/maps").Count(),
            process.WorkingSet64,
            GC.GetTotalMemory(forceFullCollection: true));
    }

    /// <summary>What there is more or less of than before, by kind; empty where all is as it was.</summary>
    /// <param name="before">The figures of before.</param>
    public IEnumerable<string> Since(Figures before) =>
        Differences("threads", before.ThreadKinds, ThreadKinds, _ => true).Concat(Differences("fds", before.FdKinds, FdKinds, _ => true));

    /// <summary>What there is more of the engine's than before, by kind; empty where nothing of it is left.</summary>
    /// <param name="before">The figures of before.</param>
    public IReadOnlyList<string> LeftSince(Figures before) =>
    [
        .. Differences("threads", before.ThreadKinds, ThreadKinds, IsEngineThread, least: 1),
        .. Differences("fds", before.FdKinds, FdKinds, IsEngineFd, least: 1),
    ];

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"threads {Threads} (of the engine {EngineThreads}), fds {Fds} (of the engine {EngineFds}), mappings {Mappings}, resident {ResidentBytes / MiB:0.0} MiB, managed {ManagedBytes / MiB:0.0} MiB");

    /// <summary>What a file descriptor is one of: "anon_inode:kvm-vcpu:1" is one of many kvm-vcpu, "socket:[4711]" one of many sockets, and a file one of those that end alike.</summary>
    /// <param name="target">What its link in /proc names.</param>
    internal static string KindOf(string target)
    {
        var inode = target.IndexOf(AnonymousInode, StringComparison.Ordinal);
        var name = inode >= 0 ? target[(inode + AnonymousInode.Length)..] : Path.GetFileName(target);
        // A machine's lock is a file with the machine's name in the folder PATH.lock.
        var extension = Path.GetExtension(name) is { Length: > 0 } own ? own : Path.GetExtension(Path.GetDirectoryName(target));
        if (inode < 0 && extension is { Length: > 0 })
            name = "*" + extension;
        return new string([.. name.Where(letter => !char.IsAsciiDigit(letter))]).Trim(':', '[', ']', ' ');
    }

    private static bool IsEngineThread(string kind) => s_engineThreads.Any(name => kind.StartsWith(name, StringComparison.Ordinal));

    private static bool IsEngineFd(string kind) => s_engineFds.Any(name => kind.Contains(name, StringComparison.Ordinal));

    private static IEnumerable<string> Differences(
        string what, IReadOnlyDictionary<string, int> before, IReadOnlyDictionary<string, int> after, Func<string, bool> isCounted, int least = int.MinValue) =>
        from kind in before.Keys.Union(after.Keys).Where(isCounted).Order(StringComparer.Ordinal)
        let more = after.GetValueOrDefault(kind) - before.GetValueOrDefault(kind)
        where more != 0 && more >= least
        select string.Create(CultureInfo.InvariantCulture, $"{what} {more:+0;-0} {kind}");

    private static Dictionary<string, int> Count(IEnumerable<string> kinds) => kinds.GroupBy(kind => kind).ToDictionary(kind => kind.Key, kind => kind.Count());

    private static string KindOfFd(string fd)
    {
        try
        {
            return KindOf(File.ResolveLinkTarget(fd, returnFinalTarget: false)?.ToString() ?? "");
        }
        catch (IOException)
        {
            return ""; // It was closed between the listing and the look: the listing's own, as a rule.
        }
    }

    private static string NameOf(string task)
    {
        try
        {
            return new string([.. File.ReadAllText(Path.Combine(task, "comm")).Where(letter => !char.IsAsciiDigit(letter))]).Trim();
        }
        catch (IOException)
        {
            return ""; // It has ended between the listing and the look.
        }
    }
}
