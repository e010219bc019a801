using Checkpoint.Protocol.Faults;

namespace Checkpoint.Simulation.Scheduling;

/// <summary>
/// Injected delays and hangs in virtual time: whoever is at work takes no further step before their end, and what it reports
/// meanwhile is heard then. What comes late beside its caller is done at its moment, unless its process has ended; where it hangs, never.
/// </summary>
internal sealed class VirtualWaits(World world) : IFaultWaits
{
    public void Wait(FaultHit hit, TimeSpan duration, CancellationToken end)
    {
        if (world.Scheduler.AtWork is { } activity)
            activity.Hold(duration);
        else
            world.Defect("a fault", new InvalidOperationException($"{hit}, and nobody whom the scheduler knows makes this call."));
    }

    public void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end)
    {
        if (duration == Timeout.InfiniteTimeSpan)
            return;
        var machine = hit.Site.Machine is { } name ? world.ProbeOf(name) : null;
        world.Scheduler.After((long)duration.TotalMicroseconds, then, machine?.Process);
    }
}
