namespace Checkpoint.Actors.Coordination;

/// <summary>Asks for a checkpoint at fixed intervals; turns that fall into a round under way are skipped, not made up for.</summary>
internal sealed class CheckpointSchedule : IAsyncDisposable
{
    // Timers can do some weeks at most; a longer interval is waited for day by day.
    private static readonly TimeSpan s_longestWait = TimeSpan.FromDays(1);

    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;

    public CheckpointSchedule(TimeSpan interval, TimeProvider time, Func<Task> checkpoint)
    {
        _interval = interval;
        _time = time;
        _loop = RunAsync(checkpoint, _stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync(Func<Task> checkpoint, CancellationToken stop)
    {
        var begun = _time.GetTimestamp();
        try
        {
            while (true)
            {
                var turn = Math.Floor(_time.GetElapsedTime(begun) / _interval) + 1;
                await UntilAsync(begun, _interval * turn, stop).ConfigureAwait(false);
                await checkpoint().ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Stopped between two rounds: a round under way is waited for.
        }
    }

    // Timers count in the host's ticks and may come some milliseconds early: then the rest is waited for too.
    private async Task UntilAsync(long begun, TimeSpan due, CancellationToken stop)
    {
        for (var rest = due - _time.GetElapsedTime(begun); rest > TimeSpan.Zero; rest = due - _time.GetElapsedTime(begun))
        {
            var wait = rest < s_longestWait ? TimeSpan.FromMilliseconds(Math.Ceiling(rest.TotalMilliseconds)) : s_longestWait;
            await Task.Delay(wait, _time, stop).ConfigureAwait(false);
        }
    }
}
