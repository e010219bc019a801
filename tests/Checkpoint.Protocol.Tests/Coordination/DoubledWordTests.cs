using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class DoubledWordTests : CoordinatorLaws
{
    [Fact]
    public void Parts_told_of_twice_keep_their_first_moment()
    {
        var vm = Given(vcpus: 1).StoresWhileVcpusWait().Later(10).Stored().Later(1000).Stored().Resumed("vcpu 0");
        Assert.Equal(10, ((MachineEvent.CheckpointCommitted)((CoordinatorEffect.Append)vm.Effects[0]).Events[0]).Timings.StoreUs);
    }

    [Fact]
    public void Parts_that_were_stored_stay_stored_whatever_is_said_later() => Given(vcpus: 1).StoresWhileVcpusWait().Stored().NotStored("disk full").Resumed("vcpu 0").Then("append Committed 1 after none");

    [Fact]
    public void The_first_reason_why_parts_were_not_stored_is_the_one_on_record() => Given(vcpus: 1).StoresWhileVcpusWait().NotStored("a").NotStored("b").Resumed("vcpu 0").Then("discard", "append Aborted (a)");

    [Fact]
    public void A_prune_works_where_the_checkpoint_that_the_machine_goes_on_from_is_gone() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Full(3, 2), Streams.Restored("web", 1, true), Streams.Pruned(1))).Prune(1).Then("append Pruned 2");

    [Fact]
    public void A_machine_whose_origin_is_pruned_commits_without_a_parent() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Full(3, 2), Streams.Restored("web", 1, true), Streams.Pruned(1))).UpToTheAppend().Then("append Committed 4 after none");

    [Fact]
    public void An_answer_to_an_earlier_recovery_does_not_end_a_later_one()
    {
        var vm = Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendIsLost();
        var earlier = new CoordinatorInput.Recovered(1, vm.History);
        vm.RecoveredWritten();
        vm.Unpin(1).AppendIsLost().When(earlier).ThenNothing().In(Recovering);
    }
}
