namespace Checkpoint.Actors.Coordination;

/// <summary>Asks for a checkpoint at fixed intervals; turns that fall into a round under way are skipped, not made up for.</summary>
internal sealed class CheckpointSchedule : IAsyncDisposable
{
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
        _stop.Cancel(); // Nothing but the wait for the next turn hears it.
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
                var passed = _time.GetElapsedTime(begun);
                var next = _interval * (Math.Floor(passed / _interval) + 1);
                await Task.Delay(next - passed, _time, stop).ConfigureAwait(false);
                await checkpoint().ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Stopped between two rounds: a round under way is waited for.
        }
    }
}
