using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;

namespace Checkpoint.Cli.Demo;

/// <summary>The first half of the demonstration: a child runs a machine under checkpoints and is killed.</summary>
/// <param name="ChildId">The process that was killed.</param>
/// <param name="After">How long its guest had run.</param>
/// <param name="Committed">How many checkpoints it had acknowledged.</param>
/// <param name="LastAcknowledged">The number of the last one.</param>
/// <param name="Pauses">How long its guest was paused.</param>
internal sealed record Killing(int ChildId, TimeSpan After, long Committed, long LastAcknowledged, PauseLine Pauses)
{
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_progressPace = TimeSpan.FromMilliseconds(250);

    /// <summary>Starts the child, lets it work, and kills it.</summary>
    /// <param name="arguments">The child's command line.</param>
    /// <param name="after">How long its guest runs first.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the demonstration.</param>
    /// <exception cref="CommandException">The child did not do its part; the message has what it said.</exception>
    public static async Task<Killing> RunAsync(
        IEnumerable<string> arguments, TimeSpan after, ProgressLine progress, TimeProvider time, CancellationToken cancellationToken)
    {
        using var child = ChildRun.Start(arguments);
        await WaitUntilStartedAsync(child, time, cancellationToken).ConfigureAwait(false);
        var begun = time.GetTimestamp();
        while (time.GetElapsedTime(begun) is var passed && passed < after)
        {
            progress.Report(() => $"process {child.Id} runs the guest: {child.Committed} checkpoints after {Duration.Format(passed)}");
            var next = after - passed < s_progressPace ? after - passed : s_progressPace;
            await Task.WhenAny(Task.Delay(next, time, cancellationToken), child.OutputEnded).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            if (child.OutputEnded.IsCompleted)
                throw await EndedByItselfAsync(child).ConfigureAwait(false);
        }

        var ran = time.GetElapsedTime(begun);
        var id = child.Id;
        await child.KillAsync().ConfigureAwait(false);
        progress.Clear();
        return child.Pauses.ToLine() is { } pauses
            ? new Killing(id, ran, child.Committed, child.LastAcknowledged, pauses)
            : throw CommandException.Failed($"no checkpoint was taken in {Duration.Format(ran)}{(child.LastObstacle is { } obstacle ? ": " + obstacle : "")}; try a longer --for");
    }

    private static async Task WaitUntilStartedAsync(ChildRun child, TimeProvider time, CancellationToken cancellationToken)
    {
        await Task.WhenAny(child.Started, child.OutputEnded, Task.Delay(s_startLimit, time, cancellationToken)).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        if (child.Started.IsCompleted)
            return;
        throw child.OutputEnded.IsCompleted
            ? await EndedByItselfAsync(child).ConfigureAwait(false)
            : CommandException.Failed($"process {child.Id} did not start its guest within {Duration.Format(s_startLimit)}");
    }

    private static async Task<CommandException> EndedByItselfAsync(ChildRun child)
    {
        var said = (await child.ErrorsAsync().ConfigureAwait(false)).Trim();
        const string Prefix = "checkpoint: ";
        var reason = said.StartsWith(Prefix, StringComparison.Ordinal) ? said[Prefix.Length..] : said;
        return CommandException.Failed(reason.Length > 0 ? reason.ReplaceLineEndings(" ") : $"process {child.Id} ended by itself and gave no reason");
    }
}
