using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>What goes wrong after everything was captured: the moment is consistent, so the checkpoint is good.</summary>
public sealed class ResumingTests : CoordinatorLaws
{
    private static readonly string[] Disk = ["disk"];

    [Fact]
    public void A_device_that_hangs_does_not_keep_the_guest() =>
        Given(vcpus: 2, devices: Disk).BeginsAndAllPark().AllAreCaptured().ThenAmongOthers("deadline ResumingDevices 2000 ms")
            .Deadline(ResumingDevices).Then("resume vcpu 0", "resume vcpu 1", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms").In(ResumingVcpus)
            .Resumed("vcpu 0", "vcpu 1").Then("store 1 after none").Stored().Appended().Then("reply 1: committed 1");

    [Fact]
    public void A_device_that_runs_late_does_not_stand_for_a_vcpu() =>
        Given(vcpus: 1, devices: Disk).BeginsAndAllPark().AllAreCaptured().Deadline(ResumingDevices)
            .Resumed("device disk").ThenNothing().In(ResumingVcpus)
            .Deadline(ResumingVcpus).Stored()
            .Resumed("device disk").ThenNothing().In(Storing)
            .Resumed("vcpu 0").Then("append Committed 1 after none");

    [Fact]
    public void A_device_that_first_runs_while_parts_are_stored_does_not_stand_for_a_vcpu() =>
        Given(vcpus: 1, devices: Disk).BeginsAndAllPark().AllAreCaptured().Deadline(ResumingDevices).Deadline(ResumingVcpus).Stored()
            .Resumed("device disk").ThenNothing().In(Storing)
            .Resumed("vcpu 0").Then("append Committed 1 after none");

    [Fact]
    public void A_device_that_fails_to_run_again_does_not_keep_the_guest() =>
        Given(vcpus: 1, devices: ["disk", "net"]).BeginsAndAllPark().AllAreCaptured()
            .Failed("device disk", "hangs").ThenNothing()
            .Resumed("device net").Then("resume vcpu 0", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms")
            .Resumed("vcpu 0").Then("store 1 after none").Stored().Appended().Then("reply 1: committed 1");

    [Fact]
    public void A_device_that_dies_on_the_way_back_does_not_keep_the_guest_and_is_the_end_of_checkpoints() =>
        Given(vcpus: 1, devices: Disk).BeginsAndAllPark().AllAreCaptured()
            .Gone("device disk", "its thread has ended").Then("resume vcpu 0", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms")
            .Resumed("vcpu 0").Then("store 1 after none").Stored().Appended().Then("reply 1: committed 1")
            .Begin().Then("reply 2: refused (device disk has ended: its thread has ended)");

    [Fact]
    public void A_vcpu_that_dies_when_it_is_told_to_run_is_not_waited_for_and_the_checkpoint_is_good() =>
        Given(vcpus: 2).StoresWhileVcpusWait().Resumed("vcpu 1").Stored().ThenNothing()
            .Gone("vcpu 0", "shut down").Then("append Committed 1 after none")
            .Appended().Then("reply 1: committed 1")
            .Begin().Then("reply 2: refused (vcpu 0 has ended: shut down)");

    [Fact]
    public void A_vcpu_that_died_while_devices_were_told_to_run_is_not_told_to_run_and_not_waited_for() =>
        Given(vcpus: 2, devices: Disk).BeginsAndAllPark().AllAreCaptured().Gone("vcpu 0", "shut down").ThenNothing().In(ResumingDevices)
            .Resumed("device disk").Then("resume vcpu 1", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms").In(ResumingVcpus)
            .Resumed("vcpu 1").Then("store 1 after none").Stored().Appended().Then("reply 1: committed 1");

    [Fact]
    public void When_every_vcpu_died_while_devices_were_told_to_run_storing_waits_for_nobody() =>
        Given(vcpus: 1, devices: Disk).BeginsAndAllPark().AllAreCaptured().Gone("vcpu 0", "shut down")
            .Resumed("device disk").Then("deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms", "store 1 after none").In(Storing)
            .Stored().Then("append Committed 1 after none");

    [Fact]
    public void A_vcpu_that_dies_in_the_moment_that_storing_waits_for_it_is_no_longer_waited_for() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Resumed("vcpu 1")
            .Gone("vcpu 0", "shut down").Then("store 1 after none").In(Storing)
            .Stored().Then("append Committed 1 after none");

    [Fact]
    public void A_vcpu_that_runs_and_then_dies_does_not_stand_for_another_that_does_not_run_yet() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Resumed("vcpu 0")
            .Gone("vcpu 0", "shut down").ThenNothing().In(ResumingVcpus)
            .Deadline(ResumingVcpus).Stored()
            .Gone("vcpu 0", "shut down").ThenNothing().In(Storing)
            .Resumed("vcpu 1").Then("append Committed 1 after none");

    [Fact]
    public void A_device_that_dies_while_parts_are_stored_does_not_stand_for_a_vcpu() =>
        Given(vcpus: 1, devices: Disk).StoresWhileVcpusWait().Stored()
            .Gone("device disk", "its thread has ended").ThenNothing().In(Storing)
            .Resumed("vcpu 0").Then("append Committed 1 after none");

    [Fact]
    public void A_vcpu_that_fails_to_run_again_does_not_hold_the_commit_up() =>
        Given(vcpus: 2).StoresWhileVcpusWait().Resumed("vcpu 1").Stored()
            .Failed("vcpu 0", "could not be resumed").Then("append Committed 1 after none");

    [Fact]
    public void The_commit_waits_for_a_silent_vcpu_until_its_deadline() =>
        Given(vcpus: 2).StoresWhileVcpusWait().Resumed("vcpu 1").Stored().ThenNothing()
            .Deadline(Storing).Then("append Committed 1 after none")
            .Appended().Then("reply 1: committed 1")
            .TakesACheckpoint().Then("reply 2: committed 2");

    [Fact]
    public void After_the_deadline_the_commit_waits_for_the_disk_alone()
    {
        var vm = Given(vcpus: 2).StoresWhileVcpusWait().Later(2000).Deadline(Storing).ThenNothing().In(Storing)
            .Later(500).Resumed("vcpu 0", "vcpu 1").ThenNothing()
            .Stored().Then("append Committed 1 after none");
        var committed = (MachineEvent.CheckpointCommitted)((CoordinatorEffect.Append)vm.Effects[0]).Events[0];
        Assert.Equal(2000, committed.Timings.PauseUs);
    }

    [Fact]
    public void The_deadline_of_a_phase_that_is_over_says_nothing() =>
        Given(vcpus: 1, devices: Disk).BeginsAndAllPark()
            .Deadline(ParkingVcpus).ThenNothing().In(Capturing)
            .AllAreCaptured().Deadline(Capturing).ThenNothing().In(ResumingDevices)
            .Resumed("device disk").Deadline(ResumingDevices).ThenNothing().In(ResumingVcpus)
            .Resumed("vcpu 0").Deadline(ResumingVcpus).ThenNothing().In(Storing)
            .Deadline(Storing).ThenNothing().In(Storing)
            .Stored().Deadline(Storing).ThenNothing().In(Appending);

    [Fact]
    public void The_disk_begins_at_once_when_all_vcpus_run_and_the_end_of_the_moment_says_nothing_more() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Resumed("vcpu 0").ThenNothing().In(ResumingVcpus)
            .Resumed("vcpu 1").Then("store 1 after none").In(Storing)
            .Deadline(ResumingVcpus).ThenNothing().In(Storing)
            .Stored().Then("append Committed 1 after none");

    [Fact]
    public void The_disk_waits_no_longer_than_a_moment_and_the_commit_still_waits_for_the_vcpus() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured()
            .Deadline(ResumingVcpus).Then("store 1 after none").In(Storing)
            .Stored().ThenNothing().In(Storing)
            .Resumed("vcpu 0").ThenNothing().In(Storing)
            .Resumed("vcpu 1").Then("append Committed 1 after none");

    [Fact]
    public void Vcpus_that_run_while_parts_are_stored_leave_the_commit_to_the_disk() =>
        Given(vcpus: 2).StoresWhileVcpusWait()
            .Resumed("vcpu 0", "vcpu 1").ThenNothing().In(Storing)
            .Stored().Then("append Committed 1 after none");

    [Fact]
    public void When_the_deadline_of_the_vcpus_comes_before_the_end_of_the_moment_the_disk_begins_and_the_commit_waits_for_nobody() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Deadline(Storing).Then("store 1 after none").In(Storing)
            .Deadline(ResumingVcpus).ThenNothing()
            .Resumed("vcpu 0").ThenNothing()
            .Stored().Then("append Committed 1 after none");

    [Fact]
    public void The_pause_lasts_until_the_last_vcpu_runs_whether_or_not_the_disk_has_begun()
    {
        var atOnce = Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Later(3).Resumed("vcpu 0").Later(4).Resumed("vcpu 1").Later(1000).Stored();
        Assert.Equal((7, 1007), (Timings(atOnce).PauseUs, Timings(atOnce).StoreUs));
        var later = Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().Later(1000).Deadline(ResumingVcpus).Later(3).Resumed("vcpu 0").Later(4).Resumed("vcpu 1").Later(20).Stored();
        Assert.Equal((1007, 1027), (Timings(later).PauseUs, Timings(later).StoreUs));
    }

    [Fact]
    public void An_abort_for_want_of_a_disk_waits_until_all_vcpus_run()
    {
        Given(vcpus: 2).StoresWhileVcpusWait().NotStored("the disk is full").ThenNothing().In(Storing)
            .Resumed("vcpu 0").ThenNothing()
            .Resumed("vcpu 1").Then("discard", "append Aborted (the disk is full)").In(Appending);
        Given(vcpus: 2).StoresWhileVcpusWait().NotStored("the disk is full").Resumed("vcpu 1")
            .Gone("vcpu 0", "shut down").Then("discard", "append Aborted (the disk is full)");
        Given(vcpus: 2).StoresWhileVcpusWait().NotStored("the disk is full")
            .Deadline(Storing).Then("discard", "append Aborted (the disk is full)")
            .Appended().Then("reply 1: aborted (the disk is full)").In(Idle);
    }

    [Fact]
    public void Parts_that_could_not_be_stored_end_the_round_without_a_checkpoint() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().AllRun()
            .NotStored("the disk is full").Then("discard", "append Aborted (the disk is full)").In(Appending)
            .Appended().Then("reply 1: aborted (the disk is full)")
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void An_abort_for_want_of_a_disk_names_no_participant()
    {
        var vm = Given(vcpus: 1).BeginsAndAllPark().AllAreCaptured().AllRun().NotStored("the disk is full");
        var aborted = (MachineEvent.CheckpointAborted)vm.Effects.OfType<CoordinatorEffect.Append>().Single().Events[0];
        Assert.Equal((null, null, null), (aborted.Participant, aborted.Register, aborted.Errno));
    }

    private static CheckpointTimings Timings(Scenario vm) =>
        ((MachineEvent.CheckpointCommitted)((CoordinatorEffect.Append)Assert.Single(vm.Effects)).Events[0]).Timings;
}
