using Checkpoint.Actors;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Cli.Machines;

/// <summary>When a run under checkpoints ends by itself.</summary>
/// <param name="Every">From the beginning of one checkpoint to the beginning of the next.</param>
/// <param name="For">After this time, or null.</param>
/// <param name="Checkpoints">After this many are committed, or null.</param>
internal sealed record RunLimits(TimeSpan Every, TimeSpan? For, int? Checkpoints);

/// <summary>Why a run ended.</summary>
internal enum RunEnd
{
    /// <summary>Its time was over.</summary>
    Duration,

    /// <summary>It has as many checkpoints as were asked for.</summary>
    Checkpoints,

    /// <summary>SIGINT or SIGTERM.</summary>
    Interrupted,

    /// <summary>A participant has ended, or another process has written to the machine's journal: no checkpoint can be taken any more.</summary>
    Failed,
}

/// <summary>
/// Runs an attached machine under periodic checkpoints until its limits. What it reports comes in order, one at a time, and
/// before the next round begins.
/// </summary>
internal sealed class CheckpointedRun
{
    // For the word of a round that has ended: the thread that brings it waits for a processor at most.
    private static readonly TimeSpan s_lastWord = TimeSpan.FromSeconds(5);

    private readonly AttachedMachine _machine;
    private readonly RunLimits _limits;
    private readonly TimeProvider _time;
    private readonly Action<CheckpointOutcome> _report;
    private readonly TaskCompletionSource<RunEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _taking = Task.CompletedTask;

    /// <param name="machine">The machine, not started yet.</param>
    /// <param name="limits">When it ends by itself.</param>
    /// <param name="time">The clock.</param>
    /// <param name="report">Told of each round. What it throws ends the run, and <see cref="UntilEndAsync"/> throws it.</param>
    public CheckpointedRun(AttachedMachine machine, RunLimits limits, TimeProvider time, Action<CheckpointOutcome> report)
    {
        _machine = machine;
        _limits = limits;
        _time = time;
        _report = report;
    }

    /// <summary>Called when the run ends, before the machine is stopped.</summary>
    public Action? Ending { get; init; }

    /// <summary>How many checkpoints were committed.</summary>
    public long Committed { get; private set; }

    /// <summary>How many rounds ended without one.</summary>
    public long Aborted { get; private set; }

    /// <summary>The number of the last one.</summary>
    public long? LastCheckpoint { get; private set; }

    /// <summary>Why the last round that ended without a checkpoint did.</summary>
    public string? LastObstacle { get; private set; }

    public PauseStatistics Pauses { get; } = new();

    /// <summary>How long the guest ran.</summary>
    public TimeSpan Ran { get; private set; }

    /// <summary>Lets the guest run until the end; when it returns, the round in flight has ended and the vCPUs have stopped.</summary>
    /// <param name="started">Told when the guest runs, before the first round.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public async Task<RunEnd> UntilEndAsync(Action started, CancellationToken cancellationToken)
    {
        _machine.RoundEnded += (_, outcome) => OnRound(outcome);
        _machine.Start();
        var begun = _time.GetTimestamp();
        RunEnd end;
        try
        {
            started();
            end = await FirstEndAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Ending?.Invoke();
            await _machine.StopAsync().ConfigureAwait(false);
            // The stop has let the round in flight end, or has left behind what hangs: that must not keep the run.
            await Task.WhenAny(_taking, Task.Delay(s_lastWord, _time, CancellationToken.None)).ConfigureAwait(false);
            Ran = _time.GetElapsedTime(begun);
        }

        // Whatever ended the run first: a guest of which a vCPU has died, also while it was stopped, is not whole.
        if (await _machine.ParticipantEnded.ConfigureAwait(false) is not { } reason)
            return end;
        LastObstacle = reason;
        return RunEnd.Failed;
    }

    private async Task<RunEnd> FirstEndAsync(CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var timer = Task.Delay(_limits.For ?? Timeout.InfiniteTimeSpan, _time, ending.Token);
        _taking = TakeCheckpointsAsync(ending.Token);
        var first = await Task.WhenAny(_ended.Task, _machine.ParticipantEnded, timer).ConfigureAwait(false);
        await ending.CancelAsync().ConfigureAwait(false);
        _ = _ended.Task.Exception; // Seen, where another end was first.
        if (first == _ended.Task)
            return await _ended.Task.ConfigureAwait(false);
        if (first == timer)
            return cancellationToken.IsCancellationRequested ? RunEnd.Interrupted : RunEnd.Duration;
        return RunEnd.Failed;
    }

    private async Task TakeCheckpointsAsync(CancellationToken ending)
    {
        if (_limits.Checkpoints is not { } count)
        {
            _machine.CheckpointEvery(_limits.Every);
            return;
        }

        // A schedule may have begun another round before it is stopped. Whoever asked for five gets five.
        var begun = _time.GetTimestamp();
        try
        {
            while (Committed < count)
            {
                var passed = _time.GetElapsedTime(begun);
                var next = _limits.Every * (Math.Floor(passed / _limits.Every) + 1);
                await Task.Delay(next - passed, _time, ending).ConfigureAwait(false);
                await _machine.CheckpointAsync().ConfigureAwait(false);
            }
        }
        catch (Exception failure)
        {
            // Where the run has ended already, this is only the end of the wait for the next round.
            _ended.TrySetException(failure);
        }
    }

    private void OnRound(CheckpointOutcome outcome)
    {
        // Asked for when the run was over.
        if (outcome is CheckpointOutcome.Refused { Obstacle: Refusal.Stopping })
            return;
        try
        {
            Count(outcome);
            _report(outcome);
        }
        catch (Exception failure)
        {
            // Nobody hears of checkpoints any more: the run ends, the round in flight is finished all the same.
            _ended.TrySetException(failure);
        }
    }

    private void Count(CheckpointOutcome outcome)
    {
        switch (outcome)
        {
            case CheckpointOutcome.Committed committed:
                Committed++;
                LastCheckpoint = committed.Checkpoint.Number;
                Pauses.Add(committed.Checkpoint.Timings.PauseUs);
                if (Committed == _limits.Checkpoints)
                    _ended.TrySetResult(RunEnd.Checkpoints);
                break;
            case CheckpointOutcome.Aborted aborted:
                Aborted++;
                LastObstacle = aborted.Abort.Reason;
                break;
            case CheckpointOutcome.Refused refused:
                Aborted++;
                LastObstacle = refused.Obstacle.Describe();
                if (refused.Obstacle is Refusal.OwnershipLost or Refusal.JournalLost or Refusal.ParticipantIsGone or Refusal.CoordinatorEnded)
                    _ended.TrySetResult(RunEnd.Failed);
                break;
            default:
                break;
        }
    }
}
