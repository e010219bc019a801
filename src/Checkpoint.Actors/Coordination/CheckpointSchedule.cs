namespace Checkpoint.Actors.Coordination;

/// <summary>Asks for a checkpoint at fixed intervals; turns that fall into a round under way are skipped, not made up for.</summary>
internal sealed class CheckpointSchedule : IAsyncDisposable
{
    private readonly PeriodicTimer _timer;
    private readonly Task _loop;

    public CheckpointSchedule(TimeSpan interval, TimeProvider time, Func<Task> checkpoint)
    {
        _timer = new PeriodicTimer(interval, time);
        _loop = RunAsync(checkpoint);
    }

    public async ValueTask DisposeAsync()
    {
        _timer.Dispose();
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync(Func<Task> checkpoint)
    {
        while (await _timer.WaitForNextTickAsync().ConfigureAwait(false))
            await checkpoint().ConfigureAwait(false);
    }
}
