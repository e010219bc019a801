using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Cli.Tests;

/// <summary>A test that runs a guest: skipped, with the reason, where this host gives no KVM.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmFactAttribute : FactAttribute
{
    private static readonly string? s_reason = ReasonAgainst();

    public KvmFactAttribute() => Skip = s_reason;

    private static string? ReasonAgainst()
    {
        if (!OperatingSystem.IsLinux())
            return "This is not Linux.";
        if (!SystemHandle.TryOpen(out var system, out var reason))
            return reason;
        system.Dispose();
        return null;
    }
}
