using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Increments.</summary>
internal sealed class DirtyPagesAreCarried(World world) : Invariant(world)
{
    public override string Law => "an increment and what it builds on give the memory of its moment: pages taken for a round that failed are in the next";

    public override void OnAcknowledged(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint)
    {
        if (checkpoint.Mode == CheckpointMode.Incremental
            && StoredCheckpoint.Read(World, tenant, checkpoint, out _) is { } found
            && found.DifferenceOfMemory() is { } page)
        {
            Break($"{tenant.Name}@{checkpoint.Number}: {page}");
        }
    }
}
