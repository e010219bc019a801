namespace Checkpoint.Actors.Tests;

/// <summary>What this process has of the things that the engine must give back: threads by their names, fds by what they are.</summary>
internal static class OwnThreads
{
    /// <summary>The names of the engine's threads that there are now: of vCPUs, machines and devices.</summary>
    public static string[] Names() =>
    [
        .. Directory.GetDirectories("/proc/self/task")
            .Select(task => ReadName(Path.Combine(task, "comm")))
            .Where(name => name.StartsWith("vcpu ", StringComparison.Ordinal) || name.StartsWith("device ", StringComparison.Ordinal) || name == "machine"),
    ];

    /// <summary>What the fds of VMs, vCPUs and segments are.</summary>
    public static string[] Fds(string folder) =>
    [
        .. Directory.GetFiles("/proc/self/fd")
            .Select(fd => File.ResolveLinkTarget(fd, returnFinalTarget: false)?.ToString() ?? "")
            .Where(target => target.Contains("kvm-v", StringComparison.Ordinal) || target.StartsWith(folder, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal),
    ];

    private static string ReadName(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (IOException)
        {
            return ""; // It has ended between the listing and the look.
        }
    }
}
