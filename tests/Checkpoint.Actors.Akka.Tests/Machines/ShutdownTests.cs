using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Tests.Machines;

public sealed class ShutdownTests : ActorSystemTests
{
    [Fact]
    public void The_phase_that_stops_the_machines_waits_as_long_as_a_stop_with_the_default_deadlines_may_take()
    {
        var settings = Extension.Settings;
        // The schedule, the round, what is being stored, the store; the vCPUs; the engine's actor.
        var longest = 4 * settings.Coordinator.StopDeadline + settings.StopPatience + TimeSpan.FromSeconds(10);
        Assert.True(CoordinatedShutdown.Get(Sys).Timeout(CoordinatedShutdown.PhaseBeforeServiceUnbind) > longest);
    }

    [Fact]
    public async Task A_shutdown_lets_the_round_under_way_end_and_it_is_committed()
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, device)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var round = TakeAsync(machine);
        await hang.Begun;
        var shutdown = CoordinatedShutdown.Get(Sys).Run(CoordinatedShutdown.ClrExitReason.Instance);
        hang.End();
        await shutdown.WaitAsync(Patience);
        Assert.IsType<CheckpointOutcome.Committed>(await round);
        Assert.Equal([], guest.Verify().Failures);
    }

    [Fact]
    public async Task A_machine_that_cannot_be_stopped_in_order_does_not_keep_the_store_open()
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = Guest();
        var attached = await AttachAsync(guest, null, device);
        await TellAsync(attached.Machine, new MachineCommand.StartMachine());
        var store = Extension.Engine.Store;
        var round = TakeAsync(attached.Machine);
        await hang.Begun;
        var shutdown = CoordinatedShutdown.Get(Sys).Run(CoordinatedShutdown.ClrExitReason.Instance);
        var stopping = new CheckpointOutcome.Refused(new Refusal.Stopping());
        await Eventually.IsTrueAsync(() => attached.Attached.CheckpointAsync().Result == stopping, "the coordinator is told to stop");
        ChildOf(attached.Machine, "coordinator").Tell(Kill.Instance);
        await Assert.ThrowsAsync<InvalidOperationException>(() => round);
        hang.End();
        await shutdown.WaitAsync(Patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => store.ListMachinesAsync());
        await using var again = CheckpointEngine.Open(Options);
        again.Store.Lock("a").Dispose();
    }
}

public sealed class ShutdownTimeoutTests() : ActorSystemTests("akka.coordinated-shutdown.phases.before-service-unbind.timeout = 7s")
{
    [Fact]
    public void A_timeout_of_the_users_own_is_left_alone()
    {
        Assert.NotNull(Extension);
        Assert.Equal(TimeSpan.FromSeconds(7), CoordinatedShutdown.Get(Sys).Timeout(CoordinatedShutdown.PhaseBeforeServiceUnbind));
    }
}
