using Checkpoint.FaultSoak;

namespace Checkpoint.Actors.Tests.Faults;

public sealed class FiguresTests
{
    private static readonly Figures s_none = new(new Dictionary<string, int>(), new Dictionary<string, int>(), 0, 0, 0);

    [Theory]
    [InlineData("/tmp/x/store.db.d/web/000000000007-0198c2.seg")]
    [InlineData("/tmp/x/store.db.d/web/000000000007-0198c2.seg (deleted)")]
    [InlineData("/tmp/x/store.db.d/web/000000000007-0198c2.seg.tmp")]
    [InlineData("/tmp/x/store.db-wal")]
    [InlineData("/tmp/x/store.db.lock/web")]
    [InlineData("anon_inode:kvm-vcpu:1")]
    [InlineData("anon_inode:[userfaultfd]")]
    public void A_file_that_the_engine_opens_is_counted_as_left_when_it_stays_open(string target)
    {
        var kind = Figures.KindOf(target);
        Assert.Equal([$"fds +1 {kind}"], (s_none with { FdKinds = new Dictionary<string, int> { [kind] = 1 } }).LeftSince(s_none));
    }

    [Theory]
    [InlineData("vcpu")]
    [InlineData("store")]
    [InlineData("memory filling")]
    public void A_thread_of_the_engine_is_counted_as_left_when_it_does_not_end(string name) =>
        Assert.Equal([$"threads +1 {name}"], (s_none with { ThreadKinds = new Dictionary<string, int> { [name] = 1 } }).LeftSince(s_none));

    [Fact]
    public void What_the_runtime_keeps_is_not_the_engine_s_and_one_kind_does_not_make_up_for_another()
    {
        var before = s_none with { ThreadKinds = new Dictionary<string, int> { ["store"] = 1 } };
        var after = new Figures(
            new Dictionary<string, int> { [".NET TP Worker"] = 3, ["vcpu"] = 1 }, new Dictionary<string, int> { ["socket"] = 2, ["pipe"] = 2 }, 0, 0, 0);
        Assert.Equal(["threads +1 vcpu"], after.LeftSince(before));
    }
}
