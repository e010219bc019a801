using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Actors.Tests;

/// <summary>A test that runs a guest: skipped, with the reason, where this host gives no KVM.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmFactAttribute : FactAttribute
{
    public KvmFactAttribute() => Skip = KvmHost.ReasonAgainst;
}

/// <summary>As <see cref="KvmFactAttribute"/>, for a test with several cases.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmTheoryAttribute : TheoryAttribute
{
    public KvmTheoryAttribute() => Skip = KvmHost.ReasonAgainst;
}

internal static class KvmHost
{
    public static string? ReasonAgainst { get; } = Ask();

    private static string? Ask()
    {
        if (!OperatingSystem.IsLinux())
            return "This is not Linux.";
        if (!SystemHandle.TryOpen(out var system, out var reason))
            return reason;
        system.Dispose();
        return null;
    }
}
