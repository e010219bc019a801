using System.Diagnostics;
using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Tests;

public sealed class CoordinatorDefectTests
{
    [Fact]
    public async Task A_coordinator_that_ended_by_a_defect_says_so_to_all_who_ask_and_the_guest_runs_on()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using var hang = new Hang();
        using var guest = GuestMachine.Create(bench.Host, GuestKind.Counter, new GuestOptions { Vcpus = 1 });
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Park) hang.Enter(); } };
        var machine = await bench.AttachAsync(guest, devices: [device]);
        machine.Start();
        var round = machine.CheckpointAsync();
        await hang.Begun;
        // Nobody parks the machine: a report that says so is a defect of ours.
        var impossible = new CoordinatorInput.ParticipantParked(new RoundId(1), machine.Coordinator.Host.Participants.Length - 1);
        ((IParticipantListener)machine.Coordinator).Hear(impossible);
        await Assert.ThrowsAsync<UnreachableException>(() => round.WaitAsync(TimeSpan.FromSeconds(60)));
        hang.End();
        var reason = "machine parked in phase ParkingDevices without being told to.";
        Assert.Equal("the coordinator has ended: " + reason, await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(60)));
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(new Refusal.CoordinatorEnded(reason), refused.Obstacle);
        var steps = guest.Verify().Steps[0];
        await Eventually.IsTrueAsync(() => guest.Verify().Steps[0] > steps, "the guest runs on");
        // A stop may say it once more; the lock is given back all the same.
        await Record.ExceptionAsync(async () => await machine.DisposeAsync());
        bench.Engine.Store.Lock(Bench.Vm).Dispose();
    }
}
