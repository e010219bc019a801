using System.Diagnostics;
using System.Text.Json;
using Checkpoint.Cli;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>How a command of the program ended.</summary>
/// <param name="Arguments">What was typed.</param>
/// <param name="ExitCode">What the shell would see.</param>
/// <param name="Lines">Standard output; the command was called with <c>--json</c>.</param>
/// <param name="Error">Standard error.</param>
/// <param name="WasInterrupted">Whether it was asked to stop before it had ended.</param>
/// <param name="Late">How long it ran after it was asked to stop.</param>
internal sealed record CommandEnd(IReadOnlyList<string> Arguments, int ExitCode, IReadOnlyList<JsonElement> Lines, string Error, bool WasInterrupted, TimeSpan Late)
{
    /// <summary>The lines of one kind.</summary>
    public IEnumerable<JsonElement> Of(string kind) => Lines.Where(line => line.GetProperty("event").GetString() == kind);

    /// <summary>The lines of standard error that say what failed.</summary>
    public IReadOnlyList<string> LastWords { get; } = [.. Error.Split('\n').Where(line => line.StartsWith("checkpoint: ", StringComparison.Ordinal))];

    public override string ToString() => $"checkpoint {string.Join(' ', Arguments)} ended with {ExitCode}: {string.Join(" / ", LastWords)}";
}

/// <summary>Calls the program's entry inside this process, so that whatever it leaves behind stays here and can be counted.</summary>
internal static class Command
{
    /// <summary>Runs a command.</summary>
    /// <param name="interruptAfter">When it is asked to stop, as by SIGINT.</param>
    /// <param name="limit">How long it may take after that.</param>
    /// <param name="arguments">What is typed; <c>--json</c> is added.</param>
    /// <returns>Null where it has not ended.</returns>
    public static async Task<CommandEnd?> RunAsync(TimeSpan interruptAfter, TimeSpan limit, params IReadOnlyList<string> arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var interruption = new CancellationTokenSource();
        var (stdout, stderr, token) = (TextWriter.Synchronized(output), TextWriter.Synchronized(error), interruption.Token);
        var running = Task.Run(() => CheckpointCommand.RunAsync([.. arguments, "--json"], stdout, stderr, token), CancellationToken.None);
        await Task.WhenAny(running, Task.Delay(interruptAfter, CancellationToken.None)).ConfigureAwait(false);
        var wasInterrupted = !running.IsCompleted;
        var asked = Stopwatch.GetTimestamp();
        if (wasInterrupted)
            await interruption.CancelAsync().ConfigureAwait(false);
        if (await Task.WhenAny(running, Task.Delay(limit, CancellationToken.None)).ConfigureAwait(false) != running)
            return null;
        var lines = output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement.Clone());
        return new CommandEnd(arguments, await running.ConfigureAwait(false), [.. lines], error.ToString(), wasInterrupted, Stopwatch.GetElapsedTime(asked));
    }
}
