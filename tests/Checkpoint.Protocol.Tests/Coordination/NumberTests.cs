using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>Which number a checkpoint gets, and what it builds on.</summary>
public sealed class NumberTests : CoordinatorLaws
{
    [Fact]
    public void Numbers_grow_by_one_and_each_checkpoint_follows_the_one_before() =>
        Given().UpToTheAppend().Then("append Committed 1 after none").Appended()
            .UpToTheAppend().Then("append Committed 2 after 1").Appended()
            .UpToTheAppend().Then("append Committed 3 after 2");

    [Fact]
    public void A_round_that_was_given_up_uses_no_number() =>
        Given().TakesACheckpoint()
            .Begin().Deadline(ParkingVcpus).AllRun().Appended()
            .UpToTheAppend().Then("append Committed 2 after 1");

    [Fact]
    public void The_number_of_a_pruned_checkpoint_is_not_used_again()
    {
        var vm = Given().TakesACheckpoint().TakesACheckpoint().Prune(1).Appended().UpToTheAppend();
        vm.Then("append Committed 3 after 2");
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Restored("web", 1, true), Streams.Pinned(1)))
            .TakesACheckpoint().Prune(1).Appended().Unpin(1).Appended().Prune(1).Appended()
            .UpToTheAppend().Then("append Committed 4 after 3");
    }

    [Fact]
    public void The_parts_are_stored_under_the_number_and_parent_of_the_commit() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1))).BeginsAndAllPark().AllAreCaptured()
            .ThenAmongOthers("store 3 after 2")
            .AllRun().Stored().Then("append Committed 3 after 2");

    [Fact]
    public void Going_on_from_an_older_checkpoint_makes_it_the_parent() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Full(3, 2), Streams.Restored("web", 1, continues: true)))
            .UpToTheAppend().Then("append Committed 4 after 1").Appended()
            .UpToTheAppend().Then("append Committed 5 after 4");

    [Fact]
    public void Going_on_from_another_machines_checkpoint_has_no_parent_here() =>
        Given(history: Streams.Of(Streams.Restored("other", 12, continues: true))).UpToTheAppend().Then("append Committed 1 after none");

    [Fact]
    public void A_restore_elsewhere_changes_no_parent() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Restored("web", 1, continues: false)))
            .UpToTheAppend().Then("append Committed 3 after 2");

    [Fact]
    public void A_copy_that_was_brought_back_elsewhere_is_put_on_record_and_changes_no_parent() =>
        Given(history: Streams.Of(Streams.Full(1), Streams.Full(2, 1)))
            .RecordRestore(Streams.Restored("web", 1, continues: true)).Then("append Restored web@1")
            .Appended().Then("reply 1: done [1]")
            .UpToTheAppend().Then("append Committed 3 after 2");

    [Fact]
    public void A_restore_during_a_round_is_put_on_record_after_it() =>
        Given(history: Streams.Of(Streams.Full(1))).BeginsAndAllPark()
            .RecordRestore(Streams.Restored("web", 1, continues: false)).ThenNothing()
            .AllAreCaptured().AllRun().Stored().Appended().Then("reply 1: committed 2", "append Restored web@1");

    [Fact]
    public void An_increment_commits_on_its_parent()
    {
        var vm = Given().TakesACheckpoint().UpToTheAppend(CheckpointMode.Incremental);
        var committed = (MachineEvent.CheckpointCommitted)((CoordinatorEffect.Append)vm.Effects[0]).Events[0];
        Assert.Equal((CheckpointMode.Incremental, 1L), (committed.Mode, committed.Parent));
    }

    [Fact]
    public void A_commit_never_prunes_what_its_increment_builds_on()
    {
        var vm = Given(options: new CoordinatorOptions { Keep = 1 })
            .TakesACheckpoint().TakesACheckpoint(CheckpointMode.Incremental).TakesACheckpoint(CheckpointMode.Incremental);
        Assert.Equal([1L, 2L, 3L], vm.History.Live.Keys);
        vm.TakesACheckpoint().Then("reply 4: committed 4, pruned 1, 2, 3");
    }
}
