using Checkpoint.Kvm.Device.Linux;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Cli;

/// <summary>What a command finds around it. Tests put their own in its place.</summary>
/// <param name="Out">Standard output: results, and nothing else.</param>
/// <param name="Error">Standard error: progress and the line that says what failed.</param>
internal sealed record Surroundings(TextWriter Out, TextWriter Error)
{
    private const nint StandardOutput = 1;
    private const nint StandardError = 2;

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

    public static Surroundings OfThisProcess() => new(Open(StandardOutput, Console.Out), Open(StandardError, Console.Error))
    {
        ErrorIsTerminal = !Console.IsErrorRedirected,
    };

    /// <summary>
    /// The runtime's console writers share one lock: while somebody does not read standard output, standard error could not
    /// say so. And they drop what a pipe without a reader does not take, without a word. A pipe or a terminal is therefore
    /// written past them; a file is not, since both may lead into the same one.
    /// </summary>
    private static TextWriter Open(nint descriptor, TextWriter runtimes)
    {
        try
        {
            var stream = new FileStream(new SafeFileHandle(descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            return stream.CanSeek ? runtimes : new StreamWriter(stream) { AutoFlush = true };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return runtimes; // It is closed: the runtime drops what is written to it.
        }
    }
}
