using System.Diagnostics;

namespace Checkpoint.Cli.Tests;

/// <summary>The command in a process of its own under strace: what it answered, and the calls that it made of KVM.</summary>
internal sealed record TracedCommand(Answer Answer, string Trace)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    public int Calls(string request) => Trace.Split('\n').Count(line => line.Contains($", {request}", StringComparison.Ordinal));

    public static async Task<TracedCommand> RunAsync(Sandbox sandbox, params string[] args)
    {
        var trace = Path.Combine(sandbox.Folder, "trace");
        var (answer, _) = await WaitAsync(Start("strace", ["-f", "-qq", "-e", "trace=ioctl", "-o", trace, .. Command(sandbox, args)]));
        return new TracedCommand(answer, await File.ReadAllTextAsync(trace));
    }

    /// <summary>Starts the command in a process of its own.</summary>
    public static Process Start(Sandbox sandbox, params string[] args) => Command(sandbox, args) is [var program, .. var rest] ? Start(program, rest) : throw new UnreachableException();

    /// <summary>Waits for a command's end.</summary>
    public static async Task<(Answer Answer, Process Process)> WaitAsync(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(s_patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return (new Answer(process.ExitCode, await output, await error), process);
    }

    private static Process Start(string program, IEnumerable<string> arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    private static string[] Command(Sandbox sandbox, string[] args) => ["dotnet", typeof(CheckpointCommand).Assembly.Location, .. args, "--store", sandbox.StoreUri];
}
