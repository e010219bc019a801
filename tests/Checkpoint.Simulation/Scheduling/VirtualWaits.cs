using Checkpoint.Protocol.Faults;

namespace Checkpoint.Simulation.Scheduling;

/// <summary>
/// Injected delays and hangs in virtual time: whoever is at work takes no further step before their end, and what it reports
/// meanwhile is heard then.
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
}
