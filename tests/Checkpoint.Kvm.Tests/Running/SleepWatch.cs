namespace Checkpoint.Kvm.Tests.Running;

/// <summary>What the kernel says of a thread; the runtime's own word knows nothing of a thread that sleeps on a futex.</summary>
internal sealed class SleepWatch
{
    private const int MomentMs = 10;
    private static readonly ManualResetEventSlim Never = new();

    private readonly string _path;

    private SleepWatch(string path) => _path = path;

    public static SleepWatch OfCurrentThread() =>
        new($"/proc/self/task/{File.ResolveLinkTarget("/proc/thread-self", returnFinalTarget: false)!.Name}/status");

    /// <summary>Whether the thread sleeps now and has slept for a moment without getting up.</summary>
    public bool IsAsleep()
    {
        var before = Read();
        return before.Contains("State:\tS (sleeping)") && !Never.Wait(MomentMs) && Read().SequenceEqual(before);
    }

    /// <summary>Its state, and how often it has given the processor away.</summary>
    private string[] Read() =>
        [.. File.ReadLines(_path).Where(line => line.StartsWith("State:", StringComparison.Ordinal) || line.Contains("ctxt_switches", StringComparison.Ordinal))];
}
