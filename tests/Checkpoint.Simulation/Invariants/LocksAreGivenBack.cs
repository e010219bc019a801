using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Who holds a machine.</summary>
internal sealed class LocksAreGivenBack(World world) : Invariant(world)
{
    public override string Law => "a machine that nobody owns is held by nobody, but for the moment in which a copy of it is put on record";

    public override void OnHeld(Tenant tenant, EngineProcess? holder)
    {
        // A lock goes with its process, and one that was lost is nobody's: an owner that was killed, or stands still, is no reason.
        if (holder is not { IsRecording: true })
            Break($"{tenant.Name} could not be attached: it is held by {holder?.Process.Name ?? "nobody"}, which does not own it");
    }

    public override void OnDetached(Tenant tenant, Life life)
    {
        if (World.Locks.HolderOf(tenant.Name) == life.Process)
            Break($"{tenant.Name} was detached from {life.Process.Process.Name}, which still holds it");
    }
}
