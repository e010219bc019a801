using Checkpoint.Protocol.Coordination;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class PinAndPruneTests : CoordinatorLaws
{
    private static readonly Protocol.History.MachineHistory Three = Streams.Of(
        Streams.Full(1, segment: Streams.Segment("1.seg")), Streams.Full(2, 1), Streams.Full(3, 2, Streams.Segment("3.seg")));

    [Fact]
    public void A_pin_is_done_when_the_journal_has_it() =>
        Given(history: Three).Pin(2).Then("append Pinned 2").In(Appending).Appended().Then("reply 1: done [2]").In(Idle)
            .Unpin(2).Then("append Unpinned 2").Appended().Then("reply 2: done [2]");

    [Fact]
    public void What_is_so_already_is_done_without_an_event() =>
        Given(history: Three).Unpin(1).Then("reply 1: done [1]").In(Idle)
            .Pin(1).Appended().Pin(1).Then("reply 3: done [1]").In(Idle);

    [Fact]
    public void What_does_not_exist_can_be_neither_pinned_nor_unpinned() =>
        Given(history: Three).Pin(4).Then("reply 1: refused (there is no checkpoint web@4)")
            .Unpin(0).Then("reply 2: refused (there is no checkpoint web@0)")
            .Prune(2).Appended().Pin(1).Then("reply 4: refused (there is no checkpoint web@1)");

    [Fact]
    public void A_prune_takes_the_oldest_and_deletes_their_segments_after_the_event() =>
        Given(history: Three).Prune(1).Then("append Pruned 1, 2")
            .Appended().Then("reply 1: done [1, 2]", "delete 1.seg").In(Idle);

    [Fact]
    public void A_prune_names_the_state_documents_that_go_with_it()
    {
        var vm = Given(history: Three).Prune(1);
        Assert.Equal([1L, 2L], ((CoordinatorEffect.Append)vm.Effects[0]).DeleteStateOf.AsSpan());
        Assert.Null(((CoordinatorEffect.Append)vm.Effects[0]).StateOf);
    }

    [Fact]
    public void A_prune_that_finds_nothing_is_done_without_an_event() =>
        Given(history: Three).Prune(3).Then("reply 1: done []").In(Idle);

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    public void A_prune_that_would_keep_nothing_is_refused(int keep)
    {
        var refused = $"refused (at least 1 checkpoint is kept, not {keep})";
        Given(history: Three).Prune(keep).Then("reply 1: " + refused).In(Idle)
            .UpToTheAppend().Prune(keep).ThenNothing().Appended().Then("reply 2: committed 4", "reply 3: " + refused).In(Idle);
    }

    [Fact]
    public void What_the_machine_goes_on_from_survives_a_prune_and_carries_the_next_increment() =>
        Given(history: Three.After(Streams.Restored("web", 1, continues: true))).Prune(1).Then("append Pruned 2")
            .Appended().Then("reply 1: done [2]")
            .UpToTheAppend(Protocol.Events.CheckpointMode.Incremental).Then("append Committed 4 after 1")
            .Appended().Then("reply 2: committed 4");

    [Fact]
    public void A_prune_that_the_journal_refuses_deletes_nothing() =>
        Given(history: Three).Prune(1).AppendEnds(new AppendResult.Refused("disk full"))
            .Then("reply 1: refused (the journal refused to write: disk full)");

    [Fact]
    public void Pinned_checkpoints_survive_a_prune() =>
        Given(history: Three).Pin(1).Appended().Prune(1).Then("append Pruned 2").Appended().Then("reply 2: done [2]");

    [Fact]
    public void Requests_that_come_in_a_round_wait_for_its_end_and_keep_their_order() =>
        Given(history: Three).BeginsAndAllPark()
            .Pin(1).ThenNothing().Prune(1).ThenNothing().Unpin(1).ThenNothing()
            .AllAreCaptured().AllRun().Stored()
            .Appended().Then("reply 1: committed 4", "append Pinned 1")
            .Appended().Then("reply 2: done [1]", "append Pruned 2, 3")
            .Appended().Then("reply 3: done [2, 3]", "delete 3.seg", "append Unpinned 1")
            .Appended().Then("reply 4: done [1]").In(Idle);

    [Fact]
    public void A_request_that_waited_is_judged_by_what_exists_when_its_turn_comes() =>
        Given(history: Three).BeginsAndAllPark().Pin(4).Prune(4).Pin(9)
            .AllAreCaptured().AllRun().Stored()
            .Appended().Then("reply 1: committed 4", "append Pinned 4")
            .Appended().Then("reply 2: done [4]", "reply 3: done []", "reply 4: refused (there is no checkpoint web@9)");

    [Fact]
    public void A_pin_in_flight_is_no_checkpoint_and_a_checkpoint_waits_behind_it() =>
        Given(vcpus: 1, history: Three).Pin(1).Begin().ThenNothing().In(Appending)
            .Appended().Then("reply 1: done [1]", "deadline Preparing 60000 ms", "prepare machine Full").In(Preparing)
            .Prepared().Then("deadline ParkingVcpus 2000 ms", "deadline Capturing 12000 ms", "park vcpu 0").In(ParkingVcpus)
            .Parked("vcpu 0").AllAreCaptured().AllRun().Stored().Appended().Then("reply 2: committed 4");

    [Fact]
    public void A_checkpoint_waits_behind_every_append_that_is_no_rounds()
    {
        Given(history: Three).Prune(1).Begin().ThenNothing().Appended().ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus);
        Given(history: Three).RecordRestore(Streams.Restored("web", 1, false)).Begin().ThenNothing().Appended().ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus);
        Given(history: Three).Pin(1).AppendIsLost().Begin().ThenNothing().In(Recovering).Recovered(Three).ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus);
        Given(history: Three).Pin(1).Begin().AppendEnds(new AppendResult.Refused("disk full")).ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus);
    }

    [Fact]
    public void Who_waits_behind_a_pin_is_served_in_order_and_the_checkpoint_keeps_the_rest_waiting() =>
        Given(vcpus: 1, history: Three).Pin(1).Unpin(1).Begin().Pin(2)
            .Appended().Then("reply 1: done [1]", "append Unpinned 1")
            .Appended().ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus)
            .Parked("vcpu 0").AllAreCaptured().AllRun().Stored()
            .Appended().Then("reply 3: committed 4", "append Pinned 2")
            .Appended().Then("reply 4: done [2]").In(Idle);

    [Fact]
    public void A_checkpoint_that_waited_while_a_participant_ended_is_refused_by_name() =>
        Given(history: Three).Pin(1).Begin().Gone("vcpu 1", "shut down").ThenNothing()
            .Appended().Then("reply 1: done [1]", "reply 2: refused (vcpu 1 has ended: shut down)").In(Idle);

    [Fact]
    public void A_checkpoint_that_waited_for_a_stream_that_somebody_else_owns_is_refused() =>
        Given(history: Three).Pin(1).Begin().AppendEnds(new AppendResult.Conflict())
            .ThenAmongOthers("reply 2: refused (another process has written to this machine's journal; open it again to go on)").In(Fenced);

    [Fact]
    public void A_commit_and_what_it_makes_superfluous_are_one_append()
    {
        var vm = Given(history: Three, options: new CoordinatorOptions { Keep = 2 }).UpToTheAppend()
            .Then("append Committed 4 after 3 + Pruned 1, 2");
        var append = (CoordinatorEffect.Append)vm.Effects[0];
        Assert.Equal([1L, 2L], append.DeleteStateOf.AsSpan());
        vm.Appended().Then("reply 1: committed 4, pruned 1, 2", "delete 1.seg");
        Assert.Equal([3L, 4L], vm.History.Live.Keys);
        vm.TakesACheckpoint().Then("reply 2: committed 5, pruned 3", "delete 3.seg");
    }

    [Fact]
    public void Where_the_disk_is_full_what_a_commit_would_make_superfluous_goes_with_the_abort()
    {
        var vm = Given(history: Three, options: new CoordinatorOptions { Keep = 2 }).BeginsAndAllPark().AllAreCaptured().AllRun()
            .NotStored("disk full", hasNoRoom: true).ThenAmongOthers("append Aborted (disk full) + Pruned 1");
        Assert.Empty(vm.Effects.OfType<CoordinatorEffect.Append>().Single().DeleteStateOf);
        vm.Appended().Then("reply 1: aborted (disk full), pruned 1", "delete 1.seg").In(Idle);
        Assert.Equal([2L, 3L], vm.History.Live.Keys);
        // What there was no room to delete then goes with the next append.
        Assert.Equal([1L, 2L], vm.UpToTheAppend().Effects.OfType<CoordinatorEffect.Append>().Single().DeleteStateOf.AsSpan());
        vm.Appended().Then("reply 2: committed 4, pruned 2");
        Assert.Equal([3L], vm.UpToTheAppend().Effects.OfType<CoordinatorEffect.Append>().Single().DeleteStateOf.AsSpan());
    }

    [Fact]
    public void What_a_full_disk_still_has_of_pruned_checkpoints_goes_with_the_next_abort_where_no_commit_comes()
    {
        var vm = Given(history: Three, options: new CoordinatorOptions { Keep = 2 }).UpToTheAppend()
            .AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true)).Appended();
        vm.UpToTheAppend().AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true));
        Assert.Equal([1L], vm.Effects.OfType<CoordinatorEffect.Append>().Single().DeleteStateOf.AsSpan());
        vm.Appended().In(Idle);
        // There is nothing left to delete: the next one takes no room.
        vm.UpToTheAppend().AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true)).In(Idle);
        Assert.Empty(vm.Effects.OfType<CoordinatorEffect.Append>());
    }

    [Fact]
    public void Where_the_disk_has_no_room_for_the_commit_its_parts_go_and_what_it_would_make_superfluous() =>
        Given(history: Three, options: new CoordinatorOptions { Keep = 1 }).UpToTheAppend()
            .AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true))
            .ThenAmongOthers("append Aborted (the journal refused to write: disk full) + Pruned 1, 2")
            .Appended().Then("reply 1: aborted (the journal refused to write: disk full), pruned 1, 2", "delete 1.seg").In(Idle);

    [Fact]
    public void A_prune_for_which_there_is_no_room_either_has_pruned_nothing()
    {
        var vm = Given(history: Three, options: new CoordinatorOptions { Keep = 1 }).UpToTheAppend()
            .AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true)).AppendEnds(new AppendResult.Refused("disk full", HasNoRoom: true))
            .Then("reply 1: aborted (the journal refused to write: disk full)").In(Idle);
        Assert.Equal([1L, 2L, 3L], vm.History.Live.Keys);
    }

    [Fact]
    public void A_full_disk_from_which_nothing_is_to_go_is_told_and_takes_no_room_for_that() =>
        Given(history: Three).BeginsAndAllPark().AllAreCaptured().AllRun()
            .NotStored("disk full", hasNoRoom: true).ThenAmongOthers("reply 1: aborted (disk full)").In(Idle);

    [Fact]
    public void A_disk_that_fails_otherwise_takes_no_checkpoint_from_anybody() =>
        Given(history: Three, options: new CoordinatorOptions { Keep = 1 }).BeginsAndAllPark().AllAreCaptured().AllRun()
            .NotStored("bad disk").ThenAmongOthers("append Aborted (bad disk)");

    [Fact]
    public void Without_a_number_to_keep_a_commit_prunes_nothing()
    {
        var vm = Given();
        for (var number = 1; number <= 10; number++)
            vm.TakesACheckpoint();
        Assert.Equal(10, vm.History.Live.Count);
    }

    [Fact]
    public void A_commit_that_is_refused_prunes_nothing()
    {
        var vm = Given(history: Three, options: new CoordinatorOptions { Keep = 1 }).UpToTheAppend().AppendEnds(new AppendResult.Refused("disk full"))
            .Then("discard", "reply 1: aborted (the journal refused to write: disk full)");
        Assert.Equal([1L, 2L, 3L], vm.History.Live.Keys);
    }
}
