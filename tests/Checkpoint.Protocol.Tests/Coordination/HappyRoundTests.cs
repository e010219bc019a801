using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class HappyRoundTests : CoordinatorLaws
{
    [Fact]
    public void A_round_begins_with_its_deadlines_and_a_kick_for_every_vcpu() =>
        Given(vcpus: 3).Begin()
            .Then("deadline ParkingVcpus 2000 ms", "deadline Capturing 12000 ms", "park vcpu 0", "park vcpu 1", "park vcpu 2")
            .In(ParkingVcpus);

    [Fact]
    public void Nothing_is_captured_before_all_are_parked() =>
        Given(vcpus: 3).Begin()
            .Parked("vcpu 2").ThenNothing()
            .Parked("vcpu 0").ThenNothing()
            .Parked("vcpu 1").Then("capture machine", "capture vcpu 0", "capture vcpu 1", "capture vcpu 2")
            .In(Capturing);

    [Fact]
    public void Nobody_runs_before_all_are_captured_and_the_disk_begins_when_all_run() =>
        Given(vcpus: 2).BeginsAndAllPark()
            .Captured("machine").ThenNothing()
            .Captured("vcpu 1").ThenNothing()
            .Captured("vcpu 0").Then("resume vcpu 0", "resume vcpu 1", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms").In(ResumingVcpus)
            .Resumed("vcpu 1").ThenNothing().In(ResumingVcpus)
            .Resumed("vcpu 0").Then("store 1 after none").In(Storing);

    [Fact]
    public void No_reply_says_committed_before_the_append_has_ended() =>
        Given(vcpus: 2).BeginsAndAllPark().AllAreCaptured().AllRun().Then("store 1 after none")
            .Stored().Then("append Committed 1 after none").In(Appending)
            .Appended().Then("reply 1: committed 1").In(Idle);

    [Fact]
    public void Devices_park_after_the_vcpus_and_run_before_them() =>
        Given(vcpus: 2, devices: ["disk", "net"]).Begin()
            .Then("deadline ParkingVcpus 2000 ms", "deadline Capturing 12000 ms", "park vcpu 0", "park vcpu 1")
            .Parked("vcpu 0").ThenNothing()
            .Parked("vcpu 1").Then("park device disk", "park device net").In(ParkingDevices)
            .Parked("device net").ThenNothing()
            .Parked("device disk").Then("capture machine", "capture device disk", "capture device net", "capture vcpu 0", "capture vcpu 1")
            .AllAreCaptured().Then("resume device disk", "resume device net", "deadline ResumingDevices 2000 ms").In(ResumingDevices)
            .Resumed("device net").ThenNothing()
            .Resumed("device disk").Then("resume vcpu 0", "resume vcpu 1", "deadline ResumingVcpus 1 ms", "deadline Storing 2000 ms").In(ResumingVcpus)
            .Resumed("vcpu 1").ThenNothing()
            .Resumed("vcpu 0").Then("store 1 after none").In(Storing)
            .Stored().Then("append Committed 1 after none")
            .Appended().Then("reply 1: committed 1");

    [Fact]
    public void The_order_of_the_phases_follows_from_what_participants_are_not_from_their_places() =>
        Given([(ParticipantKind.Machine, "machine"), (ParticipantKind.Device, "device disk"), (ParticipantKind.Vcpu, "vcpu 0")]).Begin()
            .ThenAmongOthers("park vcpu 0")
            .Parked("vcpu 0").Then("park device disk")
            .Parked("device disk").Then("capture machine", "capture device disk", "capture vcpu 0")
            .AllAreCaptured().ThenAmongOthers("resume device disk")
            .Resumed("device disk").ThenAmongOthers("resume vcpu 0");

    [Fact]
    public void A_machine_that_does_nothing_by_itself_is_never_parked_or_resumed()
    {
        var vm = Given(vcpus: 1).Begin();
        Assert.DoesNotContain(vm.Effects, effect => effect is CoordinatorEffect.ParticipantEffect { Participant: 1 });

        vm.Parked("vcpu 0").Captured("vcpu 0", "machine");

        Assert.DoesNotContain(vm.Effects, effect => effect is CoordinatorEffect.ParticipantEffect { Participant: 1 });
    }

    [Fact]
    public void A_checkpoint_carries_what_was_asked_and_what_was_stored()
    {
        var vm = Given(vcpus: 1).Begin("before the upgrade").Later(30).Parked("vcpu 0").Later(10).AllAreCaptured().AllRun()
            .Stored(segment: Streams.Segment("1.seg"));

        var append = Assert.IsType<CoordinatorEffect.Append>(Assert.Single(vm.Effects));
        var committed = Assert.IsType<MachineEvent.CheckpointCommitted>(Assert.Single(append.Events));
        Assert.Equal("before the upgrade", committed.Label);
        Assert.Equal(new CheckpointId(1), committed.Id);
        Assert.Equal(CheckpointTrigger.Request, committed.Trigger);
        Assert.Equal(Streams.Segment("1.seg"), committed.Segment);
        Assert.Equal((8192, 2, 77L, "msrs"), (committed.MemoryBytes, committed.DirtyPages, committed.GuestClockNs, committed.Batching));
        Assert.Equal(Streams.Noon.AddMicroseconds(30), committed.At);
        Assert.Equal(vm.Round, append.StateOf);
    }

    [Fact]
    public void Timings_are_the_distances_between_the_moments_of_the_round()
    {
        var vm = Given(vcpus: 2, devices: ["disk"]).Begin()
            .Later(5).Parked("vcpu 0").Later(7).Parked("vcpu 1").Later(11).Parked("device disk")
            .Later(100).AllAreCaptured()
            .Later(13).Resumed("device disk")
            .Later(17).Resumed("vcpu 0").Later(19).Resumed("vcpu 1")
            .Later(5000).Stored();

        var timings = Committed(vm).Timings;
        Assert.Equal(new CheckpointTimings(PauseUs: 172, ParkUs: 23, CaptureUs: 100, StoreUs: 5036), timings);
    }

    [Fact]
    public void Parts_that_are_stored_before_all_run_do_not_shorten_the_pause()
    {
        var vm = Given(vcpus: 2).BeginsAndAllPark().Later(50).AllAreCaptured()
            .Later(1).Resumed("vcpu 0").Deadline(ResumingVcpus).Later(2).Stored().ThenNothing().Later(4).Resumed("vcpu 1");

        Assert.Equal(new CheckpointTimings(PauseUs: 57, ParkUs: 0, CaptureUs: 50, StoreUs: 3), Committed(vm).Timings);
    }

    [Fact]
    public void A_machine_takes_one_round_after_another()
    {
        var vm = Given(vcpus: 2, devices: ["disk"]);
        for (var number = 1; number <= 5; number++)
            vm.TakesACheckpoint().Then($"reply {number}: committed {number}").In(Idle);
        Assert.Equal(new RoundId(5), vm.Round);
    }

    [Fact]
    public void One_checkpoint_at_a_time()
    {
        const string Refused = "reply 2: refused (a checkpoint is already running)";
        Given().Begin().Begin().Then(Refused).In(ParkingVcpus);
        Given().BeginsAndAllPark().Begin().Then(Refused).In(Capturing);
        Given(devices: ["disk"]).BeginsAndAllPark().AllAreCaptured().Begin().Then(Refused).In(ResumingDevices);
        Given().BeginsAndAllPark().AllAreCaptured().Begin().Then(Refused).In(ResumingVcpus);
        Given().StoresWhileVcpusWait().Begin().Then(Refused).In(Storing);
        Given().UpToTheAppend().Begin().Then(Refused).In(Appending);
        Given().UpToTheAppend().AppendIsLost().Begin().Then(Refused).In(Recovering);
        Given().Begin().Deadline(ParkingVcpus).Begin().Then(Refused).In(Aborting);
        Given().Begin().Deadline(ParkingVcpus).AllRun().Begin().Then(Refused).In(Appending);
    }

    private static MachineEvent.CheckpointCommitted Committed(Scenario vm) =>
        vm.Effects.OfType<CoordinatorEffect.Append>().Single().Events.OfType<MachineEvent.CheckpointCommitted>().Single();
}
