namespace Checkpoint.Protocol.Faults;

/// <summary>
/// How the time of an injected delay or hang passes. <see cref="FaultWaits"/> blocks the caller. A scheduler with virtual time
/// does not block: it notes until when the participant of the hit is at work and returns; it then steps this participant, and
/// passes its reports on, only after that moment. What comes late beside its caller is done at its moment, and holds nobody.
/// </summary>
public interface IFaultWaits
{
    /// <summary>Lets time pass for the caller.</summary>
    /// <param name="hit">Who waits, and why.</param>
    /// <param name="duration">How long; <see cref="Timeout.InfiniteTimeSpan"/> for a hang.</param>
    /// <param name="end">Ends the wait: the vCPU was kicked, the call was cancelled, the faults were disarmed.</param>
    void Wait(FaultHit hit, TimeSpan duration, CancellationToken end);

    /// <summary>Lets time pass beside the caller, who goes on at once, and then does what was to come late.</summary>
    /// <param name="hit">What is late.</param>
    /// <param name="duration">How late; <see cref="Timeout.InfiniteTimeSpan"/> for what comes when the wait is ended, or never.</param>
    /// <param name="then">What comes late; it is done once, and does not throw.</param>
    /// <param name="end">Ends the wait early, as above. It may be cancelled by somebody who holds what <paramref name="then"/> needs.</param>
    void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end);
}

/// <summary>Blocks the caller by a clock.</summary>
/// <param name="time">The clock.</param>
public sealed class FaultWaits(TimeProvider time) : IFaultWaits
{
    /// <inheritdoc/>
    public void Wait(FaultHit hit, TimeSpan duration, CancellationToken end)
    {
        if (end.IsCancellationRequested)
            return;
        using var over = new ManualResetEventSlim();
        // Set, not thrown: a wait that is ended early is an ordinary end.
        using var ended = end.UnsafeRegister(static state => ((ManualResetEventSlim)state!).Set(), over);
        using var timer = duration == Timeout.InfiniteTimeSpan
            ? null
            : time.CreateTimer(static state => ((ManualResetEventSlim)state!).Set(), over, duration, Timeout.InfiniteTimeSpan);
        over.Wait(CancellationToken.None);
    }

    /// <inheritdoc/>
    // A timer, because calls may come late without number. What comes late is done on the pool's threads, also where the wait is ended:
    // whoever ends it may hold what the other needs.
    public void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end) =>
        Task.Delay(duration, time, end).ContinueWith(
            static (_, then) => ((Action)then!)(), then, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
}
