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
            .AllRun().Then("store 3 after 2").Stored().Then("append Committed 3 after 2");

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
            .RecordRestore(Streams.Restored("web", 1, continues: true)).Then("append Restored web@1").In(Appending)
            .Appended().Then("reply 1: done [1]").In(Idle)
            .UpToTheAppend().Then("append Committed 3 after 2");

    [Fact]
    public void A_restore_during_a_round_is_put_on_record_after_it() =>
        Given(history: Streams.Of(Streams.Full(1))).BeginsAndAllPark()
            .RecordRestore(Streams.Restored("web", 1, continues: true)).ThenNothing().In(Capturing)
            .AllAreCaptured().AllRun().Stored().Appended().Then("reply 1: committed 2", "append Restored web@1")
            .Appended().Then("reply 2: done [1]").In(Idle)
            .UpToTheAppend().Then("append Committed 3 after 2");

    [Fact]
    public void What_is_put_on_record_of_a_restore_is_what_was_told_but_that_the_machine_does_not_continue_from_it()
    {
        var told = Streams.Restored("web", 1, continues: true) with { Policy = "lenient", Leniences = ["tsc"], GenerationId = new Guid(1, 2, 3, [4, 5, 6, 7, 8, 9, 10, 11]) };
        var append = (CoordinatorEffect.Append)Given(history: Streams.Of(Streams.Full(1))).RecordRestore(told).Effects[0];
        Assert.Equal(told with { Continues = false }, Assert.Single(append.Events));
        Assert.Null(append.StateOf);
        Assert.Empty(append.DeleteStateOf);
    }

    [Fact]
    public void A_restore_that_the_journal_refuses_is_refused() =>
        Given(history: Streams.Of(Streams.Full(1))).RecordRestore(Streams.Restored("web", 1, continues: false))
            .AppendEnds(new AppendResult.Refused("disk full")).Then("reply 1: refused (the journal refused to write: disk full)").In(Idle);

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
