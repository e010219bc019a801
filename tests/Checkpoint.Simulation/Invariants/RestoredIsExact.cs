using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Restores that succeed.</summary>
internal sealed class RestoredIsExact(World world) : Invariant(world)
{
    public override string Law => "a machine that was brought back is what its checkpoint says, to the last register and page";

    public override void OnRestored(Tenant tenant, SimulatedGuest guest)
    {
        var restored = guest.Restored!;
        var moment = World.MomentAt(Oracle.NumberOf(restored.DeviceStateOf(Oracle.DeviceName).Span));
        var now = new Oracle(World, guest.Probe).Look();
        if (!now.Pages.AsSpan().SequenceEqual(moment.Pages))
            Break($"{tenant.Name}@{restored.Checkpoint.Number} was brought back with other memory");
        else if (!restored.Document.Vcpus.Select(state => Oracle.RegistersOf(guest.Shape.Architecture, state)).Zip(now.Registers).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second)))
            Break($"{tenant.Name}@{restored.Checkpoint.Number} was brought back with other registers");
        else if (guest.FirstDifference() is { } difference)
            Break($"{tenant.Name}@{restored.Checkpoint.Number} was brought back otherwise: {difference}");
    }
}
