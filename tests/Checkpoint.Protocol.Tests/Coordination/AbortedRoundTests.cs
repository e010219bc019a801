using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>Rounds that are given up before everything was captured: who is named, who is told to run, what is answered.</summary>
public sealed class AbortedRoundTests : CoordinatorLaws
{
    private static readonly string[] Disk = ["disk"];

    [Fact]
    public void A_vcpu_that_fails_to_park_aborts_the_round_by_name_and_all_vcpus_run() =>
        Given(vcpus: 3).Begin().Parked("vcpu 0").Failed("vcpu 1", "could not be kicked")
            .Then("resume vcpu 0", "resume vcpu 1", "resume vcpu 2", "deadline Aborting 2000 ms").In(Aborting)
            .Resumed("vcpu 0", "vcpu 2").ThenNothing()
            .Resumed("vcpu 1").Then("discard", "append Aborted (vcpu 1 could not be kicked)").In(Appending)
            .Appended().Then("reply 1: aborted (vcpu 1 could not be kicked)").In(Idle)
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void Devices_that_were_not_told_to_park_are_not_told_to_run() =>
        Given(vcpus: 2, devices: Disk).Begin().Parked("vcpu 0").Failed("vcpu 1", "could not be kicked")
            .Then("resume vcpu 0", "resume vcpu 1", "deadline Aborting 2000 ms");

    [Fact]
    public void A_device_that_fails_to_park_aborts_the_round_and_devices_run_before_vcpus() =>
        Given(vcpus: 2, devices: ["disk", "net"]).Begin().Parked("vcpu 0", "vcpu 1", "device disk").Failed("device net", "hangs")
            .Then("resume device disk", "resume device net", "resume vcpu 0", "resume vcpu 1", "deadline Aborting 2000 ms")
            .AllRun().Then("discard", "append Aborted (device net hangs)")
            .Appended().Then("reply 1: aborted (device net hangs)")
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Theory]
    [InlineData("vcpu 1")]
    [InlineData("device disk")]
    [InlineData("machine")]
    public void Whoever_cannot_be_captured_aborts_the_round_and_all_that_were_parked_run(string name) =>
        Given(vcpus: 2, devices: Disk).BeginsAndAllPark().Captured("vcpu 0").Failed(name, "could not be captured")
            .Then("resume device disk", "resume vcpu 0", "resume vcpu 1", "deadline Aborting 2000 ms")
            .AllRun().Then("discard", $"append Aborted ({name} could not be captured)")
            .Appended().Then($"reply 1: aborted ({name} could not be captured)")
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void An_abort_keeps_the_register_and_the_error_number_of_the_kernel()
    {
        var vm = Given(vcpus: 1).BeginsAndAllPark().Later(9).Failed("vcpu 0", new ParticipantFailure("could not be captured", 0x6030_0000_0013_c102, 22)).AllRun();

        var append = Assert.Single(vm.Effects.OfType<CoordinatorEffect.Append>());
        Assert.Equal(
            new MachineEvent.CheckpointAborted("vcpu 0 could not be captured", "vcpu 0", 0x6030_0000_0013_c102, 22) { At = Streams.Noon.AddMicroseconds(9) },
            Assert.Single(append.Events));
        Assert.Null(append.StateOf);
        vm.Appended();
        var reply = Assert.IsType<CoordinatorReply.Aborted>(Assert.Single(vm.Effects.OfType<CoordinatorEffect.Reply>()).Answer);
        Assert.Equal(append.Events[0], reply.Abort);
    }

    [Fact]
    public void A_vcpu_that_dies_before_it_has_parked_aborts_the_round_and_the_others_run() =>
        Given(vcpus: 3).Begin().Parked("vcpu 0").Gone("vcpu 1", "shut down")
            .Then("resume vcpu 0", "resume vcpu 2", "deadline Aborting 2000 ms")
            .Resumed("vcpu 0", "vcpu 2").Then("discard", "append Aborted (vcpu 1 shut down)")
            .Appended().Then("reply 1: aborted (vcpu 1 shut down)");

    [Fact]
    public void A_vcpu_that_dies_while_parked_aborts_the_round() =>
        Given(vcpus: 2, devices: Disk).Begin().Parked("vcpu 0", "vcpu 1").Gone("vcpu 0", "was stopped")
            .Then("resume device disk", "resume vcpu 1", "deadline Aborting 2000 ms")
            .Resumed("vcpu 1", "device disk").Then("discard", "append Aborted (vcpu 0 was stopped)");

    [Fact]
    public void A_vcpu_that_dies_after_its_own_capture_but_before_the_others_aborts_the_round() =>
        Given(vcpus: 2).BeginsAndAllPark().Captured("vcpu 0").Gone("vcpu 0", "was stopped")
            .Then("resume vcpu 1", "deadline Aborting 2000 ms")
            .Resumed("vcpu 1").Then("discard", "append Aborted (vcpu 0 was stopped)");

    [Fact]
    public void A_death_that_is_told_twice_does_not_stand_for_another_vcpu() =>
        Given(vcpus: 2).Begin().Gone("vcpu 0", "shut down").Gone("vcpu 0", "shut down").ThenNothing().In(Aborting)
            .Resumed("vcpu 1").Then("discard", "append Aborted (vcpu 0 shut down)");

    [Fact]
    public void A_device_that_was_not_told_to_park_and_dies_in_an_abort_does_not_stand_for_a_vcpu() =>
        Given(vcpus: 2, devices: Disk).Begin().Deadline(ParkingVcpus).Resumed("vcpu 0")
            .Gone("device disk", "its thread has ended").ThenNothing().In(Aborting)
            .Resumed("vcpu 1").Then("discard", "append Aborted (vcpu 0 did not park within 2000 ms)");

    [Fact]
    public void A_device_that_was_not_told_to_park_and_says_that_it_runs_does_not_stand_for_a_vcpu() =>
        Given(vcpus: 1, devices: Disk).Begin().Deadline(ParkingVcpus).Resumed("device disk").ThenNothing().In(Aborting);

    [Fact]
    public void A_vcpu_that_is_gone_and_says_that_it_runs_does_not_stand_for_another() =>
        Given(vcpus: 2).Begin().Gone("vcpu 0", "shut down").Resumed("vcpu 0").ThenNothing().In(Aborting);

    [Fact]
    public void When_the_only_vcpu_dies_nobody_is_waited_for() =>
        Given(vcpus: 1).Begin().Gone("vcpu 0", "shut down")
            .Then("deadline Aborting 2000 ms", "discard", "append Aborted (vcpu 0 shut down)").In(Appending);

    [Fact]
    public void Every_round_after_a_death_is_refused_by_name() =>
        Given(vcpus: 2).Begin().Gone("vcpu 1", "shut down").Resumed("vcpu 0").Appended()
            .Begin().Then("reply 2: refused (vcpu 1 has ended: shut down)")
            .Begin().Then("reply 3: refused (vcpu 1 has ended: shut down)").In(Idle);

    [Theory]
    [InlineData("vcpu 0")]
    [InlineData("device disk")]
    [InlineData("machine")]
    public void A_death_between_rounds_is_remembered_with_its_first_reason(string name) =>
        Given(vcpus: 2, devices: Disk).TakesACheckpoint()
            .Gone(name, "shut down").ThenNothing()
            .Gone(name, "something later").ThenNothing()
            .Begin().Then($"reply 2: refused ({name} has ended: shut down)");

    [Fact]
    public void A_death_during_an_append_does_not_undo_the_commit() =>
        Given(vcpus: 2).UpToTheAppend().Gone("vcpu 1", "shut down").ThenNothing()
            .Appended().Then("reply 1: committed 1")
            .Begin().Then("reply 2: refused (vcpu 1 has ended: shut down)");

    [Fact]
    public void Whoever_has_not_parked_by_the_deadline_is_named_and_told_to_run_like_the_others() =>
        Given(vcpus: 3).Begin().Parked("vcpu 0").Deadline(ParkingVcpus)
            .Then("resume vcpu 0", "resume vcpu 1", "resume vcpu 2", "deadline Aborting 2000 ms")
            .AllRun().Then("discard", "append Aborted (vcpu 1 did not park within 2000 ms)")
            .Appended().Then("reply 1: aborted (vcpu 1 did not park within 2000 ms)")
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void A_device_that_has_not_parked_by_the_deadline_is_named() =>
        Given(vcpus: 1, devices: ["disk", "net"]).Begin().Parked("vcpu 0", "device disk").Deadline(ParkingVcpus)
            .Then("resume device disk", "resume device net", "resume vcpu 0", "deadline Aborting 2000 ms")
            .AllRun().Then("discard", "append Aborted (device net did not park within 2000 ms)");

    [Fact]
    public void Where_the_machine_was_not_captured_it_is_named_as_a_vcpu_may_be_at_work_for_it() =>
        Given(vcpus: 2, options: new CoordinatorOptions { CaptureDeadline = TimeSpan.FromMilliseconds(300) })
            .BeginsAndAllPark().Captured("vcpu 0").Deadline(Capturing).AllRun()
            .Then("discard", "append Aborted (machine was not captured within 2300 ms of the round's beginning)");

    [Fact]
    public void Whoever_was_not_captured_by_the_deadline_is_named() =>
        Given(vcpus: 2, options: new CoordinatorOptions { CaptureDeadline = TimeSpan.FromMilliseconds(300) })
            .BeginsAndAllPark().Captured("vcpu 0", "machine").Deadline(Capturing)
            .Then("resume vcpu 0", "resume vcpu 1", "deadline Aborting 2000 ms")
            .AllRun().Then("discard", "append Aborted (vcpu 1 was not captured within 2300 ms of the round's beginning)")
            .Appended().TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void The_limits_are_the_options()
    {
        var options = new CoordinatorOptions
        {
            ParkDeadline = TimeSpan.FromMilliseconds(10),
            CaptureDeadline = TimeSpan.FromMilliseconds(200),
            ResumeDeadline = TimeSpan.FromMilliseconds(3000),
            StoreGrace = TimeSpan.FromMilliseconds(7),
        };
        Given(vcpus: 1, devices: Disk, options: options).Begin()
            .Then("deadline ParkingVcpus 10 ms", "deadline Capturing 210 ms", "park vcpu 0")
            .Parked("vcpu 0", "device disk").AllAreCaptured().ThenAmongOthers("deadline ResumingDevices 3000 ms")
            .Resumed("device disk").Then("resume vcpu 0", "deadline ResumingVcpus 7 ms", "deadline Storing 3000 ms");
        Given(vcpus: 1, options: options).Begin().Deadline(ParkingVcpus)
            .ThenAmongOthers("deadline Aborting 3000 ms")
            .Resumed("vcpu 0").ThenAmongOthers("append Aborted (vcpu 0 did not park within 10 ms)");
    }

    [Fact]
    public void Who_does_not_run_again_by_the_deadline_of_an_abort_is_no_longer_waited_for() =>
        Given(vcpus: 2).Begin().Deadline(ParkingVcpus).Resumed("vcpu 0").ThenNothing()
            .Deadline(Aborting).Then("discard", "append Aborted (vcpu 0 did not park within 2000 ms)")
            .Appended().Then("reply 1: aborted (vcpu 0 did not park within 2000 ms)")
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void Who_dies_or_fails_on_the_way_back_is_no_longer_waited_for() =>
        Given(vcpus: 3).Begin().Deadline(ParkingVcpus)
            .Gone("vcpu 2", "shut down").ThenNothing()
            .Failed("vcpu 1", "could not be resumed").ThenNothing()
            .Resumed("vcpu 0").Then("discard", "append Aborted (vcpu 0 did not park within 2000 ms)");

    [Fact]
    public void The_first_obstacle_is_the_one_that_is_told() =>
        Given(vcpus: 2).Begin().Failed("vcpu 1", "first").Failed("vcpu 0", "second").Resumed("vcpu 1")
            .Then("discard", "append Aborted (vcpu 1 first)")
            .Appended().Then("reply 1: aborted (vcpu 1 first)");

    [Fact]
    public void Reports_of_progress_that_come_after_the_abort_change_nothing() =>
        Given(vcpus: 2).Begin().Parked("vcpu 0").Deadline(ParkingVcpus)
            .Parked("vcpu 1").ThenNothing().In(Aborting)
            .Captured("vcpu 0").ThenNothing().In(Aborting)
            .Deadline(ParkingVcpus).ThenNothing().Deadline(Capturing).ThenNothing().In(Aborting);
}
