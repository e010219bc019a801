using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Liveness.</summary>
internal sealed class HealthyMakeProgress(World world) : Invariant(world)
{
    public override string Law => "once nothing new goes wrong, every machine that is whole is checkpointed again; everybody gets an answer";

    /// <summary>A round was given up.</summary>
    public void OnGivenUp(Tenant tenant, string reason)
    {
        if (World.Faults.Count == 0)
            Break($"a round of {tenant.Name} was given up, and nothing had gone wrong: {reason}");
    }

    /// <summary>The history has used up its time.</summary>
    public void OnOutOfTime()
    {
        foreach (var tenant in World.Tenants)
        {
            if (!tenant.IsOver)
                Break($"{tenant.Name} has had {tenant.Rounds} rounds and does not go on; {tenant.Activity}");
        }
    }
}
