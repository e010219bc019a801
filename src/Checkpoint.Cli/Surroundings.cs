using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Cli;

/// <summary>What a command finds around it. Tests put their own in its place.</summary>
/// <param name="Out">Standard output: results, and nothing else.</param>
/// <param name="Error">Standard error: progress and the line that says what failed.</param>
internal sealed record Surroundings(TextWriter Out, TextWriter Error)
{
    /// <summary>Whether a person watches standard error.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where KVM is found.</summary>
    public string KvmDevice { get; init; } = SystemHandle.DefaultPath;

    /// <summary>The memory of this host, or of the group that this process is confined to, in bytes.</summary>
    public long MemoryBytes { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>The environment's variables.</summary>
    public Func<string, string?> Variable { get; init; } = Environment.GetEnvironmentVariable;

    public static Surroundings OfThisProcess() => new(Console.Out, Console.Error)
    {
        ErrorIsTerminal = !Console.IsErrorRedirected,
    };
}
