using System.Diagnostics;

namespace Checkpoint.Cli.Tests;

/// <summary>A test that runs a guest in a process whose calls strace records: skipped, with the reason, where either is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class StraceFactAttribute : FactAttribute
{
    private static readonly string? s_reason = new KvmFactAttribute().Skip ?? ReasonAgainst();

    public StraceFactAttribute() => Skip = s_reason;

    // It may be there and still not be allowed to look: a container may forbid ptrace.
    private static string? ReasonAgainst()
    {
        try
        {
            var start = new ProcessStartInfo("strace", ["-f", "-e", "trace=ioctl", "-o", "/dev/null", "true"]) { RedirectStandardError = true };
            using var strace = Process.Start(start)!;
            var error = strace.StandardError.ReadToEnd();
            strace.WaitForExit();
            return strace.ExitCode == 0 ? null : $"strace cannot be used here: {error.Trim()}";
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return $"There is no strace: {missing.Message}.";
        }
    }
}
