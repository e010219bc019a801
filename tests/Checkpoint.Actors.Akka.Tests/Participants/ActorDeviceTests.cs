using System.Text;
using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Participants;
using Checkpoint.Actors.Tests;
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
    public async Task One_answer_that_is_lost_costs_one_round()
    {
        var device = CreateTestProbe();
        using var guest = Guest();
        var limits = Bench.Patient() with { ParkDeadline = TimeSpan.FromSeconds(3), ResumeDeadline = TimeSpan.FromSeconds(3) };
        var machine = (await AttachAsync(guest, limits, Extension.DeviceOf("disk", device))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var begun = System.Diagnostics.Stopwatch.GetTimestamp();

        // The answer to the first park is lost.
        var round = TakeAsync(machine);
        await device.ExpectMsgAsync<ParkDevice>(Patience);
        await device.ExpectMsgAsync<ResumeDevice>(Patience);
        device.Reply(DeviceResumed.Instance);
        Assert.Equal("device disk did not park within 3000 ms", Assert.IsType<CheckpointOutcome.Aborted>(await round).Abort.Reason);

        // That to the resume of the next round too: the checkpoint is good without it.
        round = TakeAsync(machine);
        await ParkAndCaptureAsync(device);
        await device.ExpectMsgAsync<ResumeDevice>(Patience);
        Assert.IsType<CheckpointOutcome.Committed>(await round);

        round = TakeAsync(machine);
        await ParkAndCaptureAsync(device);
        await device.ExpectMsgAsync<ResumeDevice>(Patience);
        device.Reply(DeviceResumed.Instance);
        Assert.Equal(2, Assert.IsType<CheckpointOutcome.Committed>(await round).Checkpoint.Number);
        Assert.True(System.Diagnostics.Stopwatch.GetElapsedTime(begun) < Extension.Settings.DeviceAnswerTimeout, "nobody waits for the answers that were lost");
    }

    [Fact]
    public async Task What_is_told_when_something_newer_is_on_its_way_is_not_waited_for()
    {
        var probe = CreateTestProbe();
        var device = new ActorDevice("disk", probe, Patience);
        device.Supersede();
        device.Supersede();
        await Task.Run(device.Park);
        await probe.ExpectMsgAsync<ParkDevice>(Patience);
        var resume = Task.Run(device.Resume);
        await probe.ExpectMsgAsync<ResumeDevice>(Patience);
        Assert.False(resume.IsCompleted);
        probe.Reply(DeviceResumed.Instance);
        await resume.WaitAsync(Patience);
    }

    private static async Task ParkAndCaptureAsync(global::Akka.TestKit.TestProbe device)
    {
        await device.ExpectMsgAsync<ParkDevice>(Patience);
        device.Reply(DeviceParked.Instance);
        await device.ExpectMsgAsync<CaptureDevice>(Patience);
        device.Reply(new DeviceCaptured("state"u8.ToArray()));
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
