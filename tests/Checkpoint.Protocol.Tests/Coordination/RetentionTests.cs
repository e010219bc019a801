using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class RetentionTests
{
    private static readonly MachineEvent[] FiveFull = [Streams.Full(1), Streams.Full(2, 1), Streams.Full(3, 2), Streams.Full(4, 3), Streams.Full(5, 4)];

    [Theory]
    [InlineData(1, new long[] { 1, 2, 3, 4 })]
    [InlineData(2, new long[] { 1, 2, 3 })]
    [InlineData(4, new long[] { 1 })]
    [InlineData(5, new long[0])]
    [InlineData(6, new long[0])]
    [InlineData(int.MaxValue, new long[0])]
    public void The_newest_stay(int keep, long[] pruned) => Assert.Equal(pruned, Select(keep, FiveFull));

    [Fact]
    public void Pinned_ones_stay_beside_the_newest() =>
        Assert.Equal([1L, 3L], Select(2, [.. FiveFull, Streams.Pinned(2)]));

    [Fact]
    public void A_pin_among_the_newest_does_not_save_an_older_one() =>
        Assert.Equal([1L, 2L, 3L], Select(2, [.. FiveFull, Streams.Pinned(5)]));

    [Fact]
    public void A_full_checkpoint_does_not_keep_its_parent() =>
        Assert.Equal([1L, 2L], Select(1, [Streams.Full(1), Streams.Increment(2, 1), Streams.Full(3, 2)]));

    [Fact]
    public void A_kept_increment_keeps_all_that_it_builds_on_down_to_the_full_one() =>
        Assert.Equal([1L], Select(1, [Streams.Full(1), Streams.Full(2, 1), Streams.Increment(3, 2), Streams.Increment(4, 3), Streams.Increment(5, 4)]));

    [Fact]
    public void A_pinned_increment_keeps_all_that_it_builds_on() =>
        Assert.Equal(
            [4L, 5L],
            Select(1, [Streams.Full(1), Streams.Increment(2, 1), Streams.Increment(3, 2), Streams.Increment(4, 3), Streams.Full(5, 4), Streams.Full(6, 5), Streams.Pinned(3)]));

    [Fact]
    public void Chains_that_share_their_beginning_keep_it_once() =>
        Assert.Equal(
            [3L],
            Select(1,
            [
                Streams.Full(1), Streams.Increment(2, 1), Streams.Increment(3, 2),
                Streams.Restored("web", 2, continues: true), Streams.Increment(4, 2), Streams.Pinned(4),
                Streams.Restored("web", 2, continues: true), Streams.Increment(5, 2),
            ]));

    [Fact]
    public void A_chain_whose_middle_is_kept_for_its_own_sake_is_kept_to_the_bottom() =>
        Assert.Equal([], Select(2, [Streams.Full(1), Streams.Increment(2, 1), Streams.Increment(3, 2), Streams.Increment(4, 3)]));

    [Fact]
    public void Nothing_at_all_has_nothing_to_prune() => Assert.Equal([], Select(1, []));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void At_least_one_is_kept(int keep) => Assert.Throws<ArgumentOutOfRangeException>(() => Select(keep, FiveFull));

    [Fact]
    public void The_checkpoint_about_to_be_committed_counts_as_the_newest()
    {
        var history = Streams.Of([.. FiveFull, Streams.Pinned(1)]);
        Assert.Equal([2L, 3L, 4L], Retention.SelectAfter(history, Streams.Full(6, 5), 2).AsSpan());
        Assert.Equal([2L, 3L, 4L], Retention.SelectAfter(history, Streams.Increment(6, 5), 1).AsSpan());
    }

    [Fact]
    public void What_the_machine_goes_on_from_stays()
    {
        Assert.Equal([2L, 3L], Select(1, [.. FiveFull[..4], Streams.Restored("web", 1, continues: true)]));
        Assert.Equal([3L], Select(1, [Streams.Full(1), Streams.Increment(2, 1), Streams.Full(3, 2), Streams.Full(4, 3), Streams.Restored("web", 2, continues: true)]));
        Assert.Equal([1L, 2L, 3L], Select(1, [.. FiveFull[..4], Streams.Restored("other", 1, continues: true)]));
    }

    [Fact]
    public void Once_the_next_one_is_committed_what_the_machine_went_on_from_before_may_go() =>
        Assert.Equal([1L, 2L], Retention.SelectAfter(Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Restored("web", 1, true)), Streams.Full(3, 1), 1).AsSpan());

    private static long[] Select(int keep, MachineEvent[] events) => [.. Retention.Select(Streams.Of(events), keep)];
}
