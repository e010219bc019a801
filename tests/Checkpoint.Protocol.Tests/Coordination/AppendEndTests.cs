using Checkpoint.Protocol.Coordination;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>The four ways in which an append ends, and what the stream says after the fourth.</summary>
public sealed class AppendEndTests : CoordinatorLaws
{
    private const string Unreadable = "refused (the journal is lost, the last write may have happened or not: the disk is gone; open the machine again to go on)";
    private const string Lost = "refused (another process has written to this machine's journal; open it again to go on)";
    private static readonly Protocol.History.MachineHistory Two = Streams.Of(Streams.Full(1, segment: Streams.Segment("1.seg")), Streams.Full(2, 1));
    private static readonly AppendResult Conflict = new AppendResult.Conflict();
    private static readonly AppendResult Refused = new AppendResult.Refused("disk full");

    [Fact]
    public void A_conflict_fences_the_coordinator_and_every_request_is_refused() =>
        Given().UpToTheAppend().AppendEnds(Conflict).Then("reply 1: " + Lost).In(Fenced)
            .Begin().Then("reply 2: " + Lost)
            .Pin(1).Then("reply 3: " + Lost)
            .Unpin(1).Then("reply 4: " + Lost)
            .Prune(1).Then("reply 5: " + Lost)
            .Stop().Then("reply 6: " + Lost)
            .RecordRestore(Streams.Restored("web", 1, false)).Then("reply 7: " + Lost).In(Fenced);

    [Fact]
    public void A_conflict_answers_everybody_who_waits() =>
        Given(history: Streams.Of(Streams.Full(1))).Begin().Pin(1).Unpin(1).Prune(1).Stop()
            .Deadline(ParkingVcpus).AllRun().AppendEnds(Conflict)
            .Then("reply 1: " + Lost, "reply 2: " + Lost, "reply 3: " + Lost, "reply 4: " + Lost, "reply 5: " + Lost).In(Fenced);

    [Fact]
    public void A_fenced_coordinator_leaves_the_parts_to_the_new_owner() =>
        Assert.DoesNotContain(Given().UpToTheAppend().AppendEnds(Conflict).Effects, effect => effect is CoordinatorEffect.DiscardParts);

    [Fact]
    public void A_commit_that_the_journal_refuses_is_no_checkpoint_and_its_parts_go() =>
        Given().UpToTheAppend().AppendEnds(Refused)
            .Then("discard", "reply 1: aborted (the journal refused to write: disk full)").In(Idle)
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void An_abort_that_the_journal_refuses_is_still_an_abort() =>
        Given().Begin().Failed("vcpu 0", "hangs").AllRun().AppendEnds(Refused).Then("reply 1: aborted (vcpu 0 hangs)").In(Idle);

    [Fact]
    public void A_pin_that_the_journal_refuses_is_refused() =>
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendEnds(Refused)
            .Then("reply 1: refused (the journal refused to write: disk full)").In(Idle)
            .Pin(1).Then("append Pinned 1");

    [Fact]
    public void After_an_unknown_end_nothing_is_decided_before_the_stream_was_read() =>
        Given(history: Streams.Of(Streams.Full(1))).UpToTheAppend().AppendIsLost().Then("recover").In(Recovering)
            .Pin(1).ThenNothing()
            .Begin().Then("reply 3: refused (a checkpoint is already running)").In(Recovering);

    [Fact]
    public void A_commit_that_the_stream_holds_was_made() =>
        Given().UpToTheAppend().AppendIsLost().RecoveredWritten().Then("reply 1: committed 1").In(Idle)
            .TakesACheckpoint().Then("reply 2: committed 2");

    [Fact]
    public void A_commit_that_the_stream_does_not_hold_was_not_made_and_its_parts_go() =>
        Given().UpToTheAppend().AppendIsLost().Recovered(Streams.Of())
            .Then("discard", "reply 1: aborted (the journal lost the write: connection lost)").In(Idle)
            .TakesACheckpoint().Then("reply 2: committed 1");

    [Fact]
    public void An_append_in_whose_place_an_abort_was_put_was_not_made_and_the_next_one_follows_the_abort()
    {
        var vm = Given(history: Two).UpToTheAppend().AppendIsLost().RecoveredWithAbortInstead()
            .Then("discard", "reply 1: aborted (the journal lost the write: connection lost)").In(Idle);
        Assert.Equal(Two.Head.SequenceNumber + 1, vm.History.Head.SequenceNumber);
        vm.TakesACheckpoint().Then("reply 2: committed 3");
    }

    [Fact]
    public void A_machine_that_began_anew_still_goes_on_from_no_checkpoint_when_the_stream_was_read_again()
    {
        var anew = Two with { Current = null };
        var whole = Two.After(Streams.Pinned(1));
        Assert.Null(Given(history: anew).Pin(1).AppendIsLost().Recovered(whole).Then("reply 1: done [1]").In(Idle).History.Current);
        Assert.Null(Given(history: anew).Pin(1).AppendIsLost().Recovered(Two).In(Idle).History.Current);
        Assert.Null(Given(history: anew).Pin(1).AppendIsLost().RecoveredWithAbortInstead().In(Idle).History.Current);
    }

    [Fact]
    public void A_checkpoint_of_somebody_else_in_the_place_of_ours_fences() =>
        Given().UpToTheAppend().AppendIsLost()
            .Recovered(Streams.Of(Streams.Full(1) with { Id = new(0xdead) }).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_commit_of_somebody_else_in_the_place_of_our_abort_fences() =>
        Given(vcpus: 1).Begin().Failed("vcpu 0", "hangs").Resumed("vcpu 0").AppendIsLost()
            .Recovered(Streams.Of(Streams.Full(1)).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_pin_of_somebody_else_in_the_place_of_ours_fences() =>
        Given(history: Two).Pin(1).AppendIsLost()
            .Recovered(Two.After(Streams.Pinned(2)).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_pin_of_somebody_else_in_the_place_of_our_prune_fences_and_deletes_nothing() =>
        Given(history: Two).Prune(1).AppendIsLost()
            .Recovered(Two.After(Streams.Pinned(1)).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_stream_that_says_what_ours_would_but_ends_in_other_bytes_is_somebody_elses() =>
        Given(history: Two).Pin(1).AppendIsLost()
            .Recovered(Two.After(Streams.Pinned(1)).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_stream_with_the_end_of_before_does_not_hold_the_append()
    {
        Given(history: Two).Prune(1).AppendIsLost().Recovered(Two)
            .Then("reply 1: refused (the journal lost the write: connection lost)").In(Idle)
            .Prune(1).Then("append Pruned 1");
        Given(vcpus: 1).Begin().Failed("vcpu 0", "hangs").Resumed("vcpu 0").AppendIsLost().Recovered(Streams.Of())
            .Then("reply 1: aborted (vcpu 0 hangs)").In(Idle);
    }

    [Fact]
    public void A_stream_that_holds_only_the_first_event_of_our_append_is_somebody_elses() =>
        Given(history: Two, options: new CoordinatorOptions { Keep = 1 }).UpToTheAppend().Then("append Committed 3 after 2 + Pruned 1, 2").AppendIsLost()
            .Recovered(Two.After(Streams.Full(3, 2))).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void An_end_that_is_unknown_twice_is_recovered_from_once()
    {
        var vm = Given().UpToTheAppend();
        var end = new CoordinatorInput.AppendEnded(((CoordinatorEffect.Append)vm.Effects[0]).AppendId, new AppendResult.Unknown("lost", Streams.HeadAt(2)));
        vm.When(end).Then("recover").When(end).ThenNothing().In(Recovering)
            .When(end with { Result = Conflict }).ThenNothing().In(Recovering)
            .RecoveredWritten().Then("reply 1: committed 1").When(end).ThenNothing().In(Idle);
    }

    [Fact]
    public void More_events_than_ours_fence() =>
        Given().UpToTheAppend().AppendIsLost()
            .Recovered(Streams.Of(Streams.Full(1), Streams.Pinned(1))).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void Another_event_in_the_place_of_our_commit_fences() =>
        Given(history: Streams.Of(Streams.Full(1))).UpToTheAppend().AppendIsLost()
            .Recovered(Streams.Of(Streams.Full(1), Streams.Pinned(1)).ByAnotherHand()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void An_end_with_our_number_but_another_digest_fences()
    {
        var rewritten = Streams.Of(Streams.Full(1)).ByAnotherHand();
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendIsLost().Recovered(rewritten).Then("reply 1: " + Lost).In(Fenced);
    }

    [Fact]
    public void A_stream_that_has_become_shorter_fences() =>
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendIsLost().Recovered(Streams.Of()).Then("reply 1: " + Lost).In(Fenced);

    [Fact]
    public void A_pin_that_the_stream_holds_was_made_and_one_that_it_does_not_hold_was_not()
    {
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendIsLost().RecoveredWritten().Then("reply 1: done [1]")
            .Pin(1).Then("reply 2: done [1]");
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).AppendIsLost().Recovered(Streams.Of(Streams.Full(1)))
            .Then("reply 1: refused (the journal lost the write: connection lost)")
            .Pin(1).Then("append Pinned 1");
    }

    [Fact]
    public void Who_waited_is_served_after_the_recovery_from_what_the_stream_says() =>
        Given().UpToTheAppend().Pin(1).ThenNothing().AppendIsLost().Then("recover")
            .RecoveredWritten().Then("reply 1: committed 1", "append Pinned 1").In(Appending)
            .Appended().Then("reply 2: done [1]");

    [Fact]
    public void Who_waited_for_what_was_not_written_is_told_so() =>
        Given().UpToTheAppend().Pin(1).AppendIsLost().Recovered(Streams.Of())
            .Then("discard", "reply 1: aborted (the journal lost the write: connection lost)", "reply 2: refused (there is no checkpoint web@1)");

    [Fact]
    public void A_commit_found_by_recovery_deletes_the_segments_of_what_it_pruned() =>
        Given(history: Streams.Of(Streams.Full(1, segment: Streams.Segment("1.seg"))), options: new CoordinatorOptions { Keep = 1 })
            .UpToTheAppend().AppendIsLost().RecoveredWritten()
            .Then("reply 1: committed 2, pruned 1", "delete 1.seg");

    [Fact]
    public void The_next_append_expects_the_end_that_the_journal_told()
    {
        var vm = Given().UpToTheAppend();
        var head = new Protocol.Events.JournalHead(2, Protocol.Events.Digest.Of("as stored"u8));
        vm.AppendEnds(new AppendResult.Committed(head)).UpToTheAppend();
        Assert.Equal(head, ((CoordinatorEffect.Append)vm.Effects[0]).Expected);
    }

    [Fact]
    public void A_stream_that_cannot_be_read_again_fences_the_coordinator_and_answers_everybody()
    {
        var vm = Given().UpToTheAppend().Pin(1).Stop().AppendIsLost().In(Recovering);
        vm.When(new CoordinatorInput.RecoveryFailed(99, "of another append")).ThenNothing().In(Recovering);
        vm.When(new CoordinatorInput.RecoveryFailed(1, "the disk is gone"))
            .Then("reply 1: " + Unreadable, "reply 2: " + Unreadable, "reply 3: " + Unreadable).In(Fenced);
        vm.Begin().Then("reply 4: " + Unreadable);
    }
}
