using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using static Checkpoint.Protocol.Tests.Streams;

namespace Checkpoint.Protocol.Tests.History;

public sealed class MachineHistoryTests
{
    [Fact]
    public void A_stream_without_events_knows_no_machine()
    {
        Assert.Null(MachineHistory.Empty.Registration);
        Assert.Equal(JournalHead.Empty, MachineHistory.Empty.Head);
        Assert.Equal((0, null), (MachineHistory.Empty.HighestNumber, MachineHistory.Empty.Current));
    }

    [Fact]
    public void A_stream_begins_with_its_registration()
    {
        Assert.Equal(Registered(), Of().Registration);
        Assert.Equal(HeadAt(1), Of().Head);
        foreach (var other in (MachineEvent[])[Full(1), Aborted("why"), Pinned(1), Unpinned(1), Pruned(1), Restored("web", 1, true)])
            Assert.Throws<InvalidHistoryException>(() => MachineHistory.Empty.After(other));
    }

    [Fact]
    public void A_machine_is_registered_once() => Assert.Throws<InvalidHistoryException>(() => Of(Registered()));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(-1)]
    public void An_event_missing_or_read_twice_is_noticed(long sequenceNumber)
    {
        var failure = Assert.Throws<InvalidHistoryException>(() => Of().Evolve(Full(1), HeadAt(sequenceNumber)));
        Assert.Contains($"event {sequenceNumber} ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_head_is_the_last_event_folded_in()
    {
        var head = new JournalHead(2, Digest.Of("two"u8));
        Assert.Equal(head, Of().Evolve(Full(1), head).Head);
    }

    [Fact]
    public void A_commit_becomes_the_highest_and_the_current()
    {
        var history = Of(Full(1), Full(2, 1));
        Assert.Equal((2, 2L), (history.HighestNumber, history.Current));
        Assert.Equal([1L, 2L], history.Live.Keys);
        Assert.Equal(Full(2, 1), history.Live[2]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(0)]
    public void Numbers_grow_by_one_without_gaps(long number) => Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Full(number, 1)));

    [Fact]
    public void The_number_of_a_pruned_checkpoint_is_never_used_again()
    {
        var history = Of(Full(1), Full(2, 1), Pruned(1, 2));
        Assert.Empty(history.Live);
        Assert.Equal(2, history.HighestNumber);
        Assert.Throws<InvalidHistoryException>(() => history.After(Full(2)));
        Assert.Equal([3L], history.After(Full(3)).Live.Keys);
    }

    [Fact]
    public void An_increment_builds_on_a_checkpoint_that_exists()
    {
        Assert.Equal(2, Of(Full(1), Increment(2, 1)).Current);
        Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Increment(2, 7)));
        Assert.Throws<InvalidHistoryException>(() => Of(Increment(1, null)));
        Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Increment(2, null)));
        Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Full(2, 1), Pruned(1), Increment(3, 1)));
    }

    [Fact]
    public void What_an_increment_builds_on_is_not_pruned_without_it()
    {
        Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Increment(2, 1), Increment(3, 2), Pruned(2)));
        Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Increment(2, 1), Pruned(1)));
        Assert.Equal([4L], Of(Full(1), Increment(2, 1), Increment(3, 2), Full(4, 3), Pruned(1, 2, 3)).Live.Keys);
    }

    [Fact]
    public void A_full_checkpoint_may_outlive_its_parent() => Assert.Equal([2L, 3L], Of(Full(1), Full(2, 1), Pruned(1), Full(3, 1)).Live.Keys);

    [Fact]
    public void An_abort_changes_nothing_but_the_head()
    {
        var before = Of(Full(1), Pinned(1));
        var after = before.After(Aborted("hangs"));
        Assert.True(SayTheSame(before, after));
        Assert.Equal(HeadAt(4), after.Head);
    }

    [Fact]
    public void Pins_come_and_go()
    {
        Assert.Equal([1L], Of(Full(1), Full(2, 1), Pinned(1)).Pinned);
        Assert.Equal([1L], Of(Full(1), Pinned(1), Pinned(1)).Pinned);
        Assert.Equal([2L], Of(Full(1), Full(2, 1), Pinned(1), Pinned(2), Unpinned(1)).Pinned);
        Assert.Empty(Of(Full(1), Unpinned(1)).Pinned);
    }

    [Fact]
    public void What_does_not_exist_is_neither_pinned_nor_unpinned_nor_pruned_nor_restored()
    {
        foreach (var @event in (MachineEvent[])[Pinned(2), Unpinned(2), Pruned(2), Pruned(1, 2), Restored("web", 2, true)])
            Assert.Throws<InvalidHistoryException>(() => Of(Full(1), @event));
    }

    [Fact]
    public void A_pinned_checkpoint_is_not_pruned()
    {
        var failure = Assert.Throws<InvalidHistoryException>(() => Of(Full(1), Full(2, 1), Pinned(2), Pruned(1, 2)));
        Assert.Contains("checkpoint 2", failure.Message, StringComparison.Ordinal);
        Assert.Equal([2L], Of(Full(1), Full(2, 1), Pinned(2), Pruned(1)).Live.Keys);
        Assert.Empty(Of(Full(1), Pinned(1), Unpinned(1), Pruned(1)).Live);
    }

    [Fact]
    public void A_prune_is_no_step_back() => Assert.Equal((2, 2L), (Of(Full(1), Full(2, 1), Pruned(1)).HighestNumber, Of(Full(1), Full(2, 1), Pruned(1)).Current));

    [Fact]
    public void A_machine_that_goes_on_from_an_older_checkpoint_goes_back_to_it_and_keeps_the_numbers()
    {
        var history = Of(Full(1), Full(2, 1), Full(3, 2), Restored("web", 1, continues: true));
        Assert.Equal((3, 1L), (history.HighestNumber, history.Current));
        Assert.Equal(4, history.After(Full(4, 1)).Current);
    }

    [Fact]
    public void A_machine_that_goes_on_from_anothers_checkpoint_begins_anew() =>
        Assert.Null(Of(Full(1), Restored("other", 7, continues: true)).Current);

    [Fact]
    public void A_restore_that_does_not_go_on_here_changes_nothing() =>
        Assert.Equal(2, Of(Full(1), Full(2, 1), Restored("web", 1, continues: false)).Current);

    [Fact]
    public void A_history_is_never_changed_by_what_follows_it()
    {
        var before = Of(Full(1));
        _ = before.After(Full(2, 1), Pinned(2), Pruned(1));
        Assert.Equal([1L], before.Live.Keys);
        Assert.Empty(before.Pinned);
        Assert.Equal(HeadAt(2), before.Head);
    }
}
