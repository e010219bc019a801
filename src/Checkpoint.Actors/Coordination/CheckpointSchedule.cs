using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Coordination;

/// <summary>Asks for a checkpoint at fixed intervals; turns that fall into a round under way are skipped, not made up for.</summary>
internal sealed class CheckpointSchedule : IAsyncDisposable
{
    // Timers can do some weeks at most; a longer interval is waited for day by day.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromDays(1);

    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly IEngineThreads _threads;
    private readonly Lock _gate = new();
    private readonly Task _loop;
    private TaskCompletionSource? _turn;
    private bool _isStopped;

    public CheckpointSchedule(TimeSpan interval, TimeProvider time, IEngineThreads threads, Func<Task> checkpoint)
    {
        _interval = interval;
        _time = time;
        _threads = threads;
        _loop = RunAsync(checkpoint);
    }

    /// <summary>Ends between two rounds: a round under way is waited for.</summary>
    public async ValueTask DisposeAsync()
    {
        TaskCompletionSource? turn;
        lock (_gate)
        {
            _isStopped = true;
            turn = _turn;
        }

        turn?.TrySetResult();
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync(Func<Task> checkpoint)
    {
        var begun = _time.GetTimestamp();
        while (true)
        {
            var turn = Math.Floor(_time.GetElapsedTime(begun) / _interval) + 1;
            if (!await IsTurnAsync(begun, _interval * turn).ConfigureAwait(false))
                return;
            await checkpoint().ConfigureAwait(false);
        }
    }

    // False where it was stopped meanwhile.
    private async Task<bool> IsTurnAsync(long begun, TimeSpan due)
    {
        while (true)
        {
            lock (_gate)
            {
                if (_isStopped)
                    return false;
            }

            // Timers count in the host's ticks and may come some milliseconds early: then the rest is waited for too.
            var rest = due - _time.GetElapsedTime(begun);
            if (rest <= TimeSpan.Zero)
                return true;
            await WaitAsync(rest < s_longestWait ? rest : s_longestWait).ConfigureAwait(false);
        }
    }

    private async Task WaitAsync(TimeSpan time)
    {
        var turn = new TaskCompletionSource(_threads.Completion);
        lock (_gate)
        {
            if (_isStopped)
                return;
            _turn = turn;
        }

        // A timer counts in whole milliseconds and drops the rest: the turn would begin before its time, and then once more.
        var whole = TimeSpan.FromMilliseconds(Math.Ceiling(time.TotalMilliseconds));
        using var timer = _time.CreateTimer(static turn => ((TaskCompletionSource)turn!).TrySetResult(), turn, whole, Timeout.InfiniteTimeSpan);
        await turn.Task.ConfigureAwait(false);
    }
}
