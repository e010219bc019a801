using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Rounds that failed.</summary>
internal sealed class NotTakenIsInvisible(World world) : Invariant(world)
{
    public override string Law => "a round that was refused or given up leaves no checkpoint, then or later";

    public override void OnNotTaken(Tenant tenant, CheckpointId id) => Check(tenant);

    public override void OnSettled(Tenant tenant) => Check(tenant);

    private void Check(Tenant tenant)
    {
        foreach (var live in tenant.ReadHistory().Live.Values)
        {
            if (tenant.NotTaken.Contains(live.Id))
                Break($"{tenant.Name}@{live.Number} exists, and its round was said to have failed");
        }
    }
}
