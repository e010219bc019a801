using System.Text;
using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;

namespace Checkpoint.Actors.Akka.Tests.Participants;

public sealed class ActorDeviceTests() : ActorSystemTests("checkpoint.stop-patience = 100ms")
{
    [Fact]
    public async Task A_device_that_is_an_actor_is_parked_captured_and_resumed_and_its_state_comes_back()
    {
        var device = CreateTestProbe();
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, Extension.DeviceOf("disk", device))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var round = TakeAsync(machine);
        Assert.Equal("disk", (await device.ExpectMsgAsync<ParkDevice>(Patience)).Device);
        device.Reply(DeviceParked.Instance);
        await device.ExpectMsgAsync<CaptureDevice>(Patience);
        device.Reply(new DeviceCaptured(Encoding.ASCII.GetBytes("seek 17")));
        await device.ExpectMsgAsync<ResumeDevice>(Patience);
        device.Reply(DeviceResumed.Instance);
        Assert.IsType<CheckpointOutcome.Committed>(await round);

        using var restored = await Extension.Actor.Ask<RestoredMachine>(
            new EngineCommand.RestoreMachine(Kvm, new CheckpointReference.Numbered("a", 1)), Patience);
        Assert.Equal("seek 17", Encoding.ASCII.GetString(restored.DeviceStateOf("disk").Span));
    }

    [Fact]
    public async Task A_device_that_answers_with_a_failure_aborts_the_round_by_its_name()
    {
        var device = CreateTestProbe();
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, Extension.DeviceOf("disk", device))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var round = TakeAsync(machine);
        await device.ExpectMsgAsync<ParkDevice>(Patience);
        device.Reply(new Status.Failure(new InvalidOperationException("a write is under way")));
        await device.ExpectMsgAsync<ResumeDevice>(Patience);
        device.Reply(DeviceResumed.Instance);
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await round);
        Assert.Equal(("device disk could not park: a write is under way", "device disk"), (aborted.Abort.Reason, aborted.Abort.Participant));
    }

    [Fact]
    public async Task A_device_whose_actor_has_ended_is_gone_and_every_further_round_is_refused_by_its_name()
    {
        var device = CreateTestProbe();
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, Extension.DeviceOf("disk", device))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        Sys.EventStream.Subscribe(TestActor, typeof(MachineUnprotected));
        Sys.Stop(device);
        Assert.Equal("device disk is gone: its actor has ended", (await ExpectMsgAsync<MachineUnprotected>(Patience)).Reason);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        Assert.Equal("device disk", Assert.IsType<Refusal.ParticipantIsGone>(refused.Obstacle).Participant);
    }

    [Fact]
    public async Task A_device_that_does_not_answer_aborts_the_round_at_its_deadline_while_the_guest_runs_on()
    {
        var device = CreateTestProbe();
        using var guest = Guest();
        var impatient = new CoordinatorOptions { ParkDeadline = TimeSpan.FromMilliseconds(300), ResumeDeadline = TimeSpan.FromMilliseconds(300) };
        var machine = (await AttachAsync(guest, impatient, Extension.DeviceOf("disk", device))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine));
        Assert.Equal("device disk did not park within 300 ms", aborted.Abort.Reason);
    }
}
