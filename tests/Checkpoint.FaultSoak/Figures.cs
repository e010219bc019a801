using System.Diagnostics;
using System.Globalization;

namespace Checkpoint.FaultSoak;

/// <summary>What this process holds of things that leak.</summary>
/// <param name="Threads">All threads.</param>
/// <param name="EngineThreads">Those of vCPUs, machines, devices and stores, by their names.</param>
/// <param name="Fds">File descriptors.</param>
/// <param name="KvmFds">Of these those of VMs and vCPUs.</param>
/// <param name="ResidentBytes">Resident memory.</param>
/// <param name="ManagedBytes">Managed memory in use.</param>
internal sealed record Figures(int Threads, int EngineThreads, int Fds, int KvmFds, long ResidentBytes, long ManagedBytes)
{
    /// <summary>The figures now, after a collection.</summary>
    public static Figures Take()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        using var process = Process.GetCurrentProcess();
        var names = Directory.GetDirectories("/proc/self/task").Select(NameOf).ToList();
        var fds = Directory.GetFiles("/proc/self/fd").Select(fd => File.ResolveLinkTarget(fd, returnFinalTarget: false)?.ToString() ?? "").ToList();
        return new Figures(
            names.Count,
            names.Count(name => name is "machine" or "store" || name.StartsWith("vcpu ", StringComparison.Ordinal) || name.StartsWith("device ", StringComparison.Ordinal)),
            fds.Count,
            fds.Count(target => target.Contains("kvm-v", StringComparison.Ordinal)),
            process.WorkingSet64,
            GC.GetTotalMemory(forceFullCollection: true));
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"threads {Threads} (of the engine {EngineThreads}), fds {Fds} (of KVM {KvmFds}), resident {ResidentBytes / 1048576.0:0.0} MiB, managed {ManagedBytes / 1048576.0:0.0} MiB");

    private static string NameOf(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).Trim();
        }
        catch (IOException)
        {
            return ""; // It has ended between the listing and the look.
        }
    }
}
