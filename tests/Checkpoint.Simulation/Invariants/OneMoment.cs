using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>The ledger and the counting device.</summary>
internal sealed class OneMoment(World world) : Invariant(world)
{
    public override string Law => "no checkpoint mixes two moments: by the guest's own ledger, its device and the device that counts";

    public override void OnAcknowledged(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint)
    {
        if (StoredCheckpoint.Read(World, tenant, checkpoint, out _) is { } found && found.Contradiction() is { } what)
            Break($"{tenant.Name}@{checkpoint.Number}: {what}");
    }

    public override void OnStopped(Tenant tenant, Life life)
    {
        if (life.Guest.Verify() is { Ok: false } verdict)
            Break($"{tenant.Name} has stopped: {verdict.Failures[0]}");
    }
}
