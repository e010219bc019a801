using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>What comes before the first kick, and what becomes of what was taken then.</summary>
public sealed class PreparingTests : CoordinatorLaws
{
    private static readonly CoordinatorOptions Incremental = new() { Mode = CheckpointMode.Incremental, MaxChain = 3 };

    [Fact]
    public void Nobody_is_kicked_before_the_machine_is_prepared() =>
        Given(vcpus: 1, devices: ["disk"]).BeginOnly().Then("deadline Preparing 60000 ms", "prepare machine Full").In(Preparing)
            .Prepared().Then("deadline ParkingVcpus 2000 ms", "deadline Capturing 12000 ms", "park vcpu 0").In(ParkingVcpus);

    [Fact]
    public void The_pause_is_counted_from_the_first_kick()
    {
        var vm = Given(vcpus: 1).BeginOnly().Later(5_000_000).Prepared().Later(100).Parked("vcpu 0").AllAreCaptured().AllRun().Stored().Appended();
        Assert.Equal(100, vm.History.Live[1].Timings.PauseUs);
    }

    [Fact]
    public void A_machine_that_cannot_prepare_ends_the_round_and_nobody_was_stopped() =>
        Given(vcpus: 2, devices: ["disk"]).BeginOnly().Failed("machine", "could not be prepared: no room")
            .Then("deadline Aborting 2000 ms", "discard", "append Aborted (machine could not be prepared: no room)").In(Appending)
            .ThenAmongOthers("settle machine given up")
            .Appended().Then("reply 1: aborted (machine could not be prepared: no room)").In(Idle);

    [Fact]
    public void A_machine_that_prepares_too_long_ends_the_round() =>
        Given(vcpus: 1).BeginOnly().Deadline(Preparing).ThenAmongOthers("append Aborted (machine did not prepare within 60000 ms)").In(Appending);

    [Fact]
    public void A_vcpu_that_ends_while_the_machine_prepares_ends_the_round() =>
        Given(vcpus: 2).BeginOnly().Gone("vcpu 1", "shut down").ThenAmongOthers("append Aborted (vcpu 1 shut down)").In(Appending);

    [Fact]
    public void What_was_taken_is_let_go_when_the_checkpoint_is_committed() =>
        Given(vcpus: 1).UpToTheAppend().Appended().ThenAmongOthers("settle machine committed");

    [Fact]
    public void What_was_taken_for_a_checkpoint_that_the_journal_refuses_goes_into_the_next() =>
        Given(vcpus: 1).UpToTheAppend().AppendEnds(new AppendResult.Refused("disk full")).ThenAmongOthers("settle machine given up");

    [Fact]
    public void What_was_taken_waits_for_the_journal_to_be_read_again()
    {
        var vm = Given(vcpus: 1).UpToTheAppend().AppendIsLost().Then("recover");
        vm.RecoveredWritten().ThenAmongOthers("settle machine committed");
        vm = Given(vcpus: 1).UpToTheAppend().AppendIsLost();
        vm.Recovered(vm.History).ThenAmongOthers("settle machine given up");
    }

    [Fact]
    public void The_first_checkpoint_is_full_and_the_next_ones_build_on_it_until_the_chain_is_long_enough()
    {
        var vm = Given(vcpus: 1, options: Incremental);
        foreach (var mode in (CheckpointMode[])[CheckpointMode.Full, CheckpointMode.Incremental, CheckpointMode.Incremental, CheckpointMode.Full, CheckpointMode.Incremental])
        {
            vm.BeginOnly().ThenAmongOthers($"prepare machine {mode}");
            vm.Prepared().Parked("vcpu 0").AllAreCaptured().AllRun().Stored(mode).Appended();
        }
    }

    [Fact]
    public void A_machine_that_knows_no_parent_takes_all_and_its_checkpoint_says_so()
    {
        var vm = Given(vcpus: 1, options: Incremental, history: Streams.Of(Streams.Full(1))).BeginOnly().ThenAmongOthers("prepare machine Incremental");
        vm.Prepared().Parked("vcpu 0").AllAreCaptured().AllRun().Stored(CheckpointMode.Full).Appended();
        Assert.Equal(CheckpointMode.Full, vm.History.Live[2].Mode);
    }

    [Fact]
    public void Without_the_parent_the_next_checkpoint_is_full() =>
        Given(vcpus: 1, options: Incremental, history: Streams.Of(Streams.Full(1), Streams.Pruned(1)))
            .BeginOnly().ThenAmongOthers("prepare machine Full");

    [Fact]
    public void A_chain_of_one_is_always_full() =>
        Given(vcpus: 1, options: Incremental with { MaxChain = 1 }, history: Streams.Of(Streams.Full(1)))
            .BeginOnly().ThenAmongOthers("prepare machine Full");
}
