namespace Checkpoint.Simulation.Invariants;

/// <summary>Deadlines.</summary>
internal sealed class GuestsRunAgain(World world) : Invariant(world)
{
    // All deadlines of a pause together, what a vCPU may be held up by itself, and the longest idle step.
    private const long BoundUs = 150_000;

    public override string Law => "every vCPU that no fault holds runs again by its deadline; nobody stays parked";

    public override void OnLook()
    {
        foreach (var life in World.Lives)
        {
            for (var vcpu = 0; vcpu < life.Guest.Shape.Guest.Vcpus; vcpu++)
            {
                var sinceUs = Math.Max(life.RunsSinceUs, life.Guest.Probe.RanAtUs(vcpu));
                if (life.IsMeantToRun && !life.Guest.Probe.IsBroken(vcpu) && World.Scheduler.NowUs - sinceUs > BoundUs)
                    Break($"vCPU {vcpu} of {life.Tenant.Name} has not run for {World.Scheduler.NowUs - sinceUs} us, phase {life.Stage}");
            }
        }
    }
}
