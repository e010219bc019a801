using System.Diagnostics;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>Reports that come late, twice, or that cannot be.</summary>
public sealed class LateReportTests : CoordinatorLaws
{
    private static readonly StoredParts Parts = new(new StoredPart(Digest.Zero, 1), null, CheckpointMode.Full, 0, 0, null, "msrs");

    public static TheoryData<RoundPhase> AllPhases => [.. Enum.GetValues<RoundPhase>()];

    [Theory]
    [MemberData(nameof(AllPhases))]
    public void Reports_of_a_round_that_is_over_or_has_never_been_are_dropped_in_every_phase(RoundPhase phase)
    {
        var vm = Reach(Given(vcpus: 2, devices: ["disk"]).TakesACheckpoint(), phase).In(phase);
        foreach (var round in (RoundId[])[new RoundId(1), new RoundId(0), new RoundId(vm.Round.Value + 1)])
        {
            if (round == vm.Round)
                continue;
            foreach (var participant in vm.Participants)
            {
                vm.When(new CoordinatorInput.ParticipantParked(round, participant.Index)).ThenNothing().In(phase);
                vm.When(new CoordinatorInput.ParticipantCaptured(round, participant.Index)).ThenNothing().In(phase);
                vm.When(new CoordinatorInput.ParticipantResumed(round, participant.Index)).ThenNothing().In(phase);
                vm.When(new CoordinatorInput.ParticipantFailed(round, participant.Index, new ParticipantFailure("late"))).ThenNothing().In(phase);
            }

            foreach (var over in Enum.GetValues<RoundPhase>())
                vm.When(new CoordinatorInput.DeadlineReached(round, over)).ThenNothing().In(phase);
            vm.When(new CoordinatorInput.PartsStored(round, Parts)).ThenNothing().In(phase);
            vm.When(new CoordinatorInput.PartsNotStored(round, "late")).ThenNothing().In(phase);
        }
    }

    [Theory]
    [MemberData(nameof(AllPhases))]
    public void The_end_of_another_append_is_dropped_in_every_phase(RoundPhase phase)
    {
        var vm = Reach(Given(vcpus: 2, devices: ["disk"]).TakesACheckpoint(), phase);
        foreach (var append in (long[])[0, 1, 99])
        {
            vm.When(new CoordinatorInput.AppendEnded(append, new AppendResult.Conflict())).ThenNothing().In(phase);
            vm.When(new CoordinatorInput.AppendEnded(append, new AppendResult.Committed(Streams.HeadAt(9)))).ThenNothing().In(phase);
        }

        if (phase != Recovering)
            vm.When(new CoordinatorInput.Recovered(1, Streams.Of())).ThenNothing().In(phase);
    }

    [Fact]
    public void A_vcpu_that_says_twice_that_it_is_parked_does_not_stand_for_another() =>
        Given(vcpus: 2).Begin().Parked("vcpu 0").Parked("vcpu 0").ThenNothing().In(ParkingVcpus);

    [Fact]
    public void A_vcpu_that_says_again_that_it_is_parked_does_not_stand_for_a_device() =>
        Given(vcpus: 1, devices: ["disk"]).Begin().Parked("vcpu 0").Parked("vcpu 0").ThenNothing().In(ParkingDevices);

    [Fact]
    public void A_vcpu_that_says_again_that_it_is_parked_while_states_are_read_says_nothing() =>
        Given(vcpus: 1).BeginsAndAllPark().Parked("vcpu 0").ThenNothing().In(Capturing);

    [Fact]
    public void Who_is_captured_twice_does_not_stand_for_another() =>
        Given(vcpus: 2).BeginsAndAllPark().Captured("vcpu 0", "machine", "vcpu 0").ThenNothing().In(Capturing)
            .Captured("vcpu 1").ThenAmongOthers("resume vcpu 1");

    [Fact]
    public void Who_was_captured_and_says_so_again_later_says_nothing() =>
        Given(vcpus: 1, devices: ["disk"]).BeginsAndAllPark().AllAreCaptured()
            .Captured("vcpu 0").ThenNothing().In(ResumingDevices)
            .Resumed("device disk").Captured("device disk").ThenNothing().In(ResumingVcpus)
            .Resumed("vcpu 0").Captured("device disk").ThenNothing().In(Storing)
            .Stored().Captured("machine").ThenNothing().In(Appending);

    [Fact]
    public void Who_says_twice_that_it_runs_does_not_stand_for_another() =>
        Given(vcpus: 2, devices: ["disk", "net"]).BeginsAndAllPark().AllAreCaptured()
            .Resumed("device disk", "device disk").ThenNothing().In(ResumingDevices)
            .Resumed("device net").In(ResumingVcpus)
            .Resumed("device net").ThenNothing()
            .Resumed("vcpu 0", "vcpu 0").ThenNothing().In(ResumingVcpus)
            .Deadline(ResumingVcpus).Stored()
            .Resumed("device net").ThenNothing()
            .Resumed("vcpu 0", "vcpu 0").ThenNothing().In(Storing)
            .Resumed("vcpu 1").Then("append Committed 1 after none")
            .Resumed("vcpu 1").ThenNothing().In(Appending);

    [Fact]
    public void In_an_abort_who_says_twice_that_it_runs_does_not_stand_for_another() =>
        Given(vcpus: 2).Begin().Deadline(ParkingVcpus).Resumed("vcpu 0", "vcpu 0").ThenNothing().In(Aborting);

    [Fact]
    public void An_append_that_ends_twice_has_ended_once()
    {
        var vm = Given().UpToTheAppend();
        var end = new CoordinatorInput.AppendEnded(((CoordinatorEffect.Append)vm.Effects[0]).AppendId, new AppendResult.Committed(Streams.HeadAt(2)));
        vm.When(end).Then("reply 1: committed 1").When(end).ThenNothing().In(Idle);
    }

    [Fact]
    public void A_capture_that_ends_after_the_round_was_given_up_says_nothing()
    {
        var vm = Given(vcpus: 1).BeginsAndAllPark().Captured("vcpu 0").Deadline(Capturing).Captured("machine").ThenNothing().In(Aborting)
            .Resumed("vcpu 0").Captured("machine").ThenNothing().In(Appending);
        vm.AppendIsLost().Captured("machine").ThenNothing().In(Recovering)
            .Recovered(vm.History).Captured("machine").ThenNothing().In(Idle);
    }

    [Theory]
    [InlineData(Idle)]
    [InlineData(ParkingVcpus)]
    [InlineData(ParkingDevices)]
    [InlineData(Capturing)]
    [InlineData(ResumingDevices)]
    [InlineData(ResumingVcpus)]
    [InlineData(Aborting)]
    [InlineData(Appending)]
    [InlineData(Recovering)]
    public void Parts_count_only_while_they_are_stored(RoundPhase phase) =>
        Reach(Given(vcpus: 2, devices: ["disk"]), phase).Stored().ThenNothing().In(phase).NotStored("the disk is full").ThenNothing().In(phase);

    [Fact]
    public void Parts_that_were_told_before_they_were_asked_for_commit_nothing() =>
        Given(vcpus: 1).BeginsAndAllPark().AllAreCaptured().Stored().Resumed("vcpu 0").Then("store 1 after none").In(Storing);

    [Fact]
    public void Parts_that_are_told_twice_are_committed_once()
    {
        Given(vcpus: 1).BeginsAndAllPark().AllAreCaptured().AllRun().Stored().Then("append Committed 1 after none").Stored().ThenNothing().In(Appending);
        Given(vcpus: 1).StoresWhileVcpusWait().Stored().Stored().ThenNothing().In(Storing).Resumed("vcpu 0").Then("append Committed 1 after none");
    }

    [Theory]
    [InlineData(ParkingVcpus)]
    [InlineData(ParkingDevices)]
    [InlineData(Capturing)]
    public void Who_says_that_it_runs_before_anybody_was_told_to_says_nothing(RoundPhase phase) =>
        Reach(Given(vcpus: 2, devices: ["disk"]), phase).Resumed("vcpu 0", "vcpu 1", "device disk", "machine").ThenNothing().In(phase);

    [Fact]
    public void The_machine_which_never_stopped_stands_for_nobody_when_it_says_that_it_runs() =>
        Given(vcpus: 1, devices: ["disk"]).BeginsAndAllPark().AllAreCaptured()
            .Resumed("machine").ThenNothing().In(ResumingDevices)
            .Resumed("device disk").Resumed("machine").ThenNothing().In(ResumingVcpus)
            .Deadline(ResumingVcpus).Stored().Resumed("machine").ThenNothing().In(Storing);

    [Fact]
    public void A_capture_before_the_barrier_cannot_be()
    {
        Assert.Throws<UnreachableException>(() => Given(vcpus: 2).Begin().Parked("vcpu 0").Captured("vcpu 0"));
        Assert.Throws<UnreachableException>(() => Given(vcpus: 1, devices: ["disk"]).Begin().Parked("vcpu 0").Captured("vcpu 0"));
    }

    [Fact]
    public void Who_was_not_told_to_park_cannot_park()
    {
        Assert.Throws<UnreachableException>(() => Given(vcpus: 2, devices: ["disk"]).Begin().Parked("vcpu 0").Parked("device disk"));
        Assert.Throws<UnreachableException>(() => Given(vcpus: 2).Begin().Parked("machine"));
        Assert.Throws<UnreachableException>(() => Given(vcpus: 1, devices: ["disk"]).Begin().Parked("vcpu 0").Parked("machine"));
    }

    [Fact]
    public void A_vcpu_cannot_run_before_the_devices_do() =>
        Assert.Throws<UnreachableException>(() => Given(vcpus: 1, devices: ["disk"]).BeginsAndAllPark().AllAreCaptured().Resumed("vcpu 0"));

    [Fact]
    public void A_participant_that_does_not_exist_cannot_report()
    {
        Assert.Throws<IndexOutOfRangeException>(() => Given(vcpus: 1).Begin().When(new CoordinatorInput.ParticipantParked(new RoundId(1), 2)));
        Assert.Throws<IndexOutOfRangeException>(() => Given(vcpus: 1).When(new CoordinatorInput.ParticipantGone(-1, new ParticipantFailure("?"))));
    }

    [Fact]
    public void Participants_stand_at_the_places_that_they_name() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new Coordinator(Streams.Of(), [new Participant(1, ParticipantKind.Vcpu, "vcpu 1")], new CoordinatorOptions()));

    [Fact]
    public void A_stream_that_is_not_registered_has_no_coordinator() =>
        Assert.Throws<ArgumentNullException>(() => new Coordinator(Protocol.History.MachineHistory.Empty, [], new CoordinatorOptions()));

    private static Scenario Reach(Scenario vm, RoundPhase phase) => phase switch
    {
        Idle => vm,
        Preparing => vm.BeginOnly(),
        ParkingVcpus => vm.Begin(),
        ParkingDevices => vm.Begin().Parked("vcpu 0", "vcpu 1"),
        Capturing => vm.BeginsAndAllPark(),
        ResumingDevices => vm.BeginsAndAllPark().AllAreCaptured(),
        ResumingVcpus => vm.BeginsAndAllPark().AllAreCaptured().Resumed("device disk"),
        Storing => vm.StoresWhileVcpusWait(),
        Aborting => vm.Begin().Deadline(ParkingVcpus),
        Appending => vm.UpToTheAppend(),
        Recovering => vm.UpToTheAppend().AppendIsLost(),
        Fenced => vm.UpToTheAppend().AppendEnds(new AppendResult.Conflict()),
        Stopped => vm.Stop(),
        _ => throw new UnreachableException($"No way to {phase}."),
    };
}
