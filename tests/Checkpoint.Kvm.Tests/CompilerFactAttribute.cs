using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Tests;

/// <summary>A test that asks the C compiler about the kernel's headers: skipped, with the reason, where one of them is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class CompilerFactAttribute : FactAttribute
{
    private static readonly string? s_reason = ReasonAgainst();

    public CompilerFactAttribute() => Skip = s_reason;

    private static string? ReasonAgainst()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return "The headers of x86-64 Linux are wanted.";
        if (!File.Exists("/usr/include/linux/kvm.h"))
            return "/usr/include/linux/kvm.h is missing: install the kernel's headers (linux-libc-dev).";
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return folders.Any(folder => File.Exists(Path.Combine(folder, "cc"))) ? null : "There is no C compiler (cc) in PATH.";
    }
}
