using Checkpoint.Protocol.Faults;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Tests.Scheduling;

public sealed class VirtualWaitsTests
{
    private readonly World _world = new(seed: 1, new SimulationOptions(SimulationMode.Plain));
    private readonly FaultPlan _plan;
    private long? _cameAtUs;

    public VirtualWaitsTests() => _plan = new FaultPlan(waits: new VirtualWaits(_world));

    [Fact]
    public void What_comes_late_beside_its_caller_is_done_at_its_moment_and_holds_nobody()
    {
        _plan.On(FaultCalls.Kick).Delay(TimeSpan.FromMilliseconds(3));
        KickAside();
        Assert.Null(_cameAtUs);
        // Nobody was at work: had anybody been made to wait, that would be a defect.
        Assert.Null(_world.Broken);
        Assert.True(_world.Scheduler.Step());
        Assert.Equal(3000, _cameAtUs);
    }

    [Fact]
    public void What_hangs_beside_its_caller_never_comes()
    {
        _plan.On(FaultCalls.Kick).Hang();
        KickAside();
        Assert.False(_world.Scheduler.Step());
        Assert.Null(_cameAtUs);
        Assert.Null(_world.Broken);
    }

    private void KickAside() =>
        _plan.WaitAside(_plan.Next(FaultSite.OnVcpu(FaultCalls.Kick, 0))!, () => _cameAtUs = _world.Scheduler.NowUs);
}
