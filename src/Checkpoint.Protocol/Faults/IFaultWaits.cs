namespace Checkpoint.Protocol.Faults;

/// <summary>
/// How the time of an injected delay or hang passes. <see cref="FaultWaits"/> blocks the caller. A scheduler with virtual time
/// does not block: it notes until when the participant of the hit is at work and returns; it then steps this participant, and
/// passes its reports on, only after that moment.
/// </summary>
public interface IFaultWaits
{
    /// <summary>Lets time pass for the caller.</summary>
    /// <param name="hit">Who waits, and why.</param>
    /// <param name="duration">How long; <see cref="Timeout.InfiniteTimeSpan"/> for a hang.</param>
    /// <param name="end">Ends the wait: the vCPU was kicked, the call was cancelled, the faults were disarmed.</param>
    void Wait(FaultHit hit, TimeSpan duration, CancellationToken end);
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
}
