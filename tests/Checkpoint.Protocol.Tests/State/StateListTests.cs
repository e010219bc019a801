using Checkpoint.Protocol.State;

namespace Checkpoint.Protocol.Tests.State;

public sealed class StateListTests
{
    private static readonly ulong[] Ids = [0, 1, 0x10, StateIds.X64Msr(0x10), 0x6030_0000_0010_0000, StateIds.X64Regs, StateIds.X64Pit2, ulong.MaxValue];

    [Fact]
    public void Items_stand_in_the_order_of_their_ids_whatever_order_they_came_in()
    {
        var expected = Ids.ToArray();
        foreach (var seed in Enumerable.Range(0, 20))
        {
            var shuffled = Ids.ToArray();
            new Random(seed).Shuffle(shuffled);
            Assert.Equal(expected, ListOf(shuffled).Select(item => item.Id));
        }
    }

    [Fact]
    public void Ids_are_compared_without_a_sign() =>
        Assert.Equal([1UL, 0x8000_0000_0000_0000], ListOf([0x8000_0000_0000_0000, 1]).Select(item => item.Id));

    [Fact]
    public void An_id_stands_once()
    {
        var failure = Assert.Throws<ArgumentException>(() => ListOf([7, 3, 0xabc, 3]));
        Assert.Contains("0x0000000000000003", failure.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ListOf([1, 1]));
    }

    [Fact]
    public void Every_item_is_found_and_nothing_else_in_lists_of_every_length()
    {
        for (var count = 0; count <= 17; count++)
        {
            var list = ListOf([.. Enumerable.Range(1, count).Select(i => (ulong)i * 10)]);
            for (var place = 1; place <= count; place++)
            {
                Assert.True(list.TryGet((ulong)place * 10, out var value));
                Assert.Equal(BytesOf((ulong)place * 10), value.ToArray());
                Assert.False(list.TryGet((ulong)(place * 10) + 1, out _));
            }

            Assert.False(list.TryGet(9, out var none));
            Assert.True(none.IsEmpty);
            Assert.False(list.TryGet(ulong.MaxValue, out _));
        }
    }

    [Fact]
    public void Extreme_ids_are_found()
    {
        var list = ListOf(Ids);
        Assert.All(Ids, id => Assert.True(list.TryGet(id, out _)));
    }

    [Fact]
    public void An_empty_list_has_nothing()
    {
        Assert.Empty(StateList.Empty);
        Assert.Empty(StateList.Create([]));
        Assert.False(StateList.Empty.TryGet(0, out _));
    }

    [Fact]
    public void Items_are_reached_by_place()
    {
        var list = ListOf([2, 1]);
        Assert.Equal(2, list.Count);
        Assert.Equal((1UL, 2UL), (list[0].Id, list[1].Id));
        Assert.Throws<IndexOutOfRangeException>(() => list[2]);
    }

    private static StateList ListOf(ulong[] ids) => StateList.Create(ids.Select(id => new StateItem(id, BytesOf(id))));

    private static byte[] BytesOf(ulong id) => BitConverter.GetBytes(id);
}
