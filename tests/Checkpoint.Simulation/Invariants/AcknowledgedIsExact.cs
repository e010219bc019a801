using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>An acknowledged checkpoint.</summary>
internal sealed class AcknowledgedIsExact(World world) : Invariant(world)
{
    public override string Law => "an acknowledged checkpoint can be read back, and is what the machine was at its moment";

    public override void OnAcknowledged(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint) => Check(tenant, checkpoint);

    public override void OnSettled(Tenant tenant)
    {
        foreach (var checkpoint in tenant.ReadHistory().Live.Values)
            Check(tenant, checkpoint);
    }

    private void Check(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint)
    {
        var found = StoredCheckpoint.Read(World, tenant, checkpoint, out var reason);
        if (found is null)
            Break($"{tenant.Name}@{checkpoint.Number} cannot be read: {reason}");
        else if (found.DifferenceOfRegisters() is { } register)
            Break($"{tenant.Name}@{checkpoint.Number}: {register}");
        else if (!found.IsBuiltOnOthers && found.DifferenceOfMemory() is { } page)
            Break($"{tenant.Name}@{checkpoint.Number}: {page}");
    }
}
