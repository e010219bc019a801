namespace Checkpoint.Simulation.Invariants;

/// <summary>Liveness.</summary>
internal sealed class HealthyMakeProgress(World world) : Invariant(world)
{
    public override string Law => "once nothing new goes wrong, every machine that is whole is checkpointed again; everybody gets an answer";

    /// <summary>The history has used up its time.</summary>
    public void OnOutOfTime()
    {
        foreach (var tenant in World.Tenants)
        {
            if (!tenant.IsDone)
                Break($"{tenant.Name} has had {tenant.Rounds} rounds and does not go on; {tenant.Activity}");
        }
    }
}
