using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Restores that fail.</summary>
internal sealed class FailedRestoreLeavesNothing(World world) : Invariant(world)
{
    public override string Law => "a restore that fails leaves no machine behind";

    public override void OnNotRestored(Tenant tenant, MachineProbe probe)
    {
        if (probe.Open != 0)
            Break($"a restore of {tenant.Name} has failed, and {probe.Open} VMs are still there");
    }
}
