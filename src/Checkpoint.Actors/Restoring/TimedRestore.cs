using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Restoring;

/// <summary>
/// A restore that ends by its deadline whatever hangs in it: a disk, a kernel. It runs beside the caller, who is told at the
/// deadline; a machine that is finished after that is thrown away as soon as it is.
/// </summary>
internal static class TimedRestore
{
    /// <summary>Runs a restore.</summary>
    /// <param name="restore">Builds the machine; heeds its token where it can.</param>
    /// <param name="deadline">How long it may take.</param>
    /// <param name="time">The clock.</param>
    /// <param name="threads">What it runs on.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="TimeoutException">It did not end by its deadline.</exception>
    public static async Task<RestoredMachine> RunAsync(
        Func<CancellationToken, Task<RestoredMachine>> restore,
        TimeSpan deadline,
        TimeProvider time,
        IEngineThreads threads,
        CancellationToken cancellationToken)
    {
        var ended = new TaskCompletionSource<RestoredMachine>(threads.Completion);
        // Neither disposed of nor linked: a restore that hangs has its token for longer than the caller waits.
        var giveUp = new CancellationTokenSource();
        threads.Run(async () =>
        {
            try
            {
                var machine = await restore(giveUp.Token).ConfigureAwait(false);
                if (!ended.TrySetResult(machine))
                    machine.Dispose();
            }
            catch (Exception failure)
            {
                ended.TrySetException(failure);
            }
        });

        using var timer = time.CreateTimer(_ => Expire(), null, deadline, Timeout.InfiniteTimeSpan);
        using var cancelled = cancellationToken.Register(() =>
        {
            ended.TrySetCanceled(cancellationToken);
            giveUp.Cancel();
        });
        return await ended.Task.ConfigureAwait(false);

        void Expire()
        {
            ended.TrySetException(new TimeoutException(
                $"the restore did not end within {(long)deadline.TotalMilliseconds} ms and was given up; check the store and the host, or allow more time"));
            giveUp.Cancel();
        }
    }
}
