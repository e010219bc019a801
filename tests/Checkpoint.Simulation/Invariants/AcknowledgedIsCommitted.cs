using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>One append is the commit.</summary>
internal sealed class AcknowledgedIsCommitted(World world) : Invariant(world)
{
    public override string Law => "what a caller is told to exist is in the stream, and comes through a power failure";

    public override void OnAcknowledged(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint)
    {
        if (!tenant.ReadHistory().Live.TryGetValue(checkpoint.Number, out var found) || found.Id != checkpoint.Id)
            Break($"{tenant.Name}@{checkpoint.Number} was acknowledged, and the stream does not have it");
        else if (!World.Disk.StreamOf(tenant.Name).IsDurable)
            Break($"{tenant.Name}@{checkpoint.Number} was acknowledged, and its event is in memory only");
    }

    public override void OnSettled(Tenant tenant)
    {
        var history = tenant.ReadHistory();
        foreach (var (number, id) in tenant.Acknowledged)
        {
            if (!tenant.MayBePruned.Contains(number) && (!history.Live.TryGetValue(number, out var found) || found.Id != id))
                Break($"{tenant.Name}@{number} was acknowledged, and is gone");
        }
    }
}
