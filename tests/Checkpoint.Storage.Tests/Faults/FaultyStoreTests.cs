using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Faults;

public sealed class FaultyStoreTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly FaultPlan _faults = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_journal_that_refuses_one_machine_takes_the_others_events()
    {
        await using var store = Open();
        _faults.On("journal.append").When(site => site.Machine == "web").Refuse();
        Assert.IsType<AppendOutcome.Refused>(await Register(store, "web"));
        Assert.IsType<AppendOutcome.Committed>(await Register(store, "db"));
    }

    [Theory]
    [InlineData("pwrite")]
    [InlineData("fsync")]
    [InlineData("fsync.folder")]
    [InlineData("rename")]
    public async Task A_call_on_a_segments_file_is_told_with_its_machine_and_its_path(string call)
    {
        await using var store = Open();
        var rule = _faults.On(call).When(site => site.Machine == "web").Fail(5);
        string? path = null;
        _faults.Injected += hit => path = hit.Site.Path;
        Assert.Throws<StoreException>(() => Write(store, "web"));
        Write(store, "db");
        Assert.Equal(1, rule.Hits);
        Assert.StartsWith(_folder.File("test.db.d/web"), path, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_machine_that_cannot_be_locked_leaves_the_others_free()
    {
        await using var store = Open();
        _faults.On("flock").When(site => site.Machine == "web").Fail(5);
        Assert.Throws<StoreException>(() => store.Lock("web"));
        store.Lock("db").Dispose();
    }

    private static Task<AppendOutcome> Register(CheckpointStore store, string vm) =>
        store.Journal.AppendAsync(new JournalAppend(vm, JournalHead.Empty, Samples.Registered(vm)));

    private static void Write(CheckpointStore store, string vm) =>
        store.Segments.Write(new SegmentIdentity(vm, 1, new CheckpointId(7), CheckpointMode.Full, null), [new PageRun(0, new byte[4096])]);

    private CheckpointStore Open() =>
        CheckpointStore.Open(new StoreOptions("sqlite:" + _folder.File("test.db")) { Faults = _faults }, TimeProvider.System);
}
