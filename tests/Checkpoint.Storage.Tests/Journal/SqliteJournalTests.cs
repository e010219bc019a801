using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Journal.Sqlite;

namespace Checkpoint.Storage.Tests.Journal;

public sealed class SqliteJournalTests : JournalContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Database => _folder.File("test.db");

    public void Dispose() => _folder.Dispose();

    protected override IJournal Open() => SqliteJournal.Open(Database, readOnly: false, TimeProvider.System);

    protected override void DeleteRow(string vm, long sequenceNumber) =>
        Script($"DELETE FROM journal WHERE persistence_id = 'vm-{vm}' AND sequence_number = {sequenceNumber}");

    protected override void EditRow(string vm, long sequenceNumber, byte[] message) =>
        Script($"UPDATE journal SET message = x'{Convert.ToHexString(message)}' WHERE persistence_id = 'vm-{vm}' AND sequence_number = {sequenceNumber}");

    [Fact]
    public async Task Events_are_still_there_after_closing_and_opening()
    {
        await using (var journal = Open())
            await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        await using var again = SqliteJournal.Open(Database, readOnly: true, TimeProvider.System);
        Assert.Equal(["web"], await again.ListMachinesAsync());
    }

    [Fact]
    public async Task A_reader_reads_while_a_writer_has_the_file()
    {
        await using var writer = Open();
        await using var reader = SqliteJournal.Open(Database, readOnly: true, TimeProvider.System);
        await writer.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        Assert.Equal(["web"], await reader.ListMachinesAsync());
        var outcome = await reader.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        Assert.IsType<AppendOutcome.Refused>(outcome);
    }

    [Fact]
    public async Task An_append_that_fails_in_its_middle_is_refused_and_leaves_nothing()
    {
        await using var journal = Open();
        var committed = (AppendOutcome.Committed)await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        Script("CREATE TRIGGER fault AFTER INSERT ON state_document BEGIN SELECT RAISE(ABORT, 'fault'); END");
        var append = new JournalAppend("web", committed.Head, [Samples.Committed(1)], new NewStateDocument(1, new byte[] { 1 }), []);
        Assert.IsType<AppendOutcome.Refused>(await journal.AppendAsync(append));
        Assert.Single(await journal.ReadAsync("web", 0, 10));
        Script("DROP TRIGGER fault");
        Assert.IsType<AppendOutcome.Committed>(await journal.AppendAsync(append));
    }

    [Fact]
    public async Task A_full_disk_refuses_the_append_and_leaves_nothing_of_it()
    {
        await using var journal = (SqliteJournal)Open();
        var committed = (AppendOutcome.Committed)await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        var append = new JournalAppend("web", committed.Head, [Samples.Committed(1)], new NewStateDocument(1, new byte[1 << 20]), []);
        journal.Session().Script("PRAGMA max_page_count = 60");
        var refused = Assert.IsType<AppendOutcome.Refused>(await journal.AppendAsync(append));
        Assert.Contains("free some space", refused.Reason, StringComparison.Ordinal);
        Assert.Single(await journal.ReadAsync("web", 0, 10));
        journal.Session().Script("PRAGMA max_page_count = 100000");
        Assert.IsType<AppendOutcome.Committed>(await journal.AppendAsync(append));
    }

    [Fact]
    public async Task After_a_commit_that_failed_the_connection_is_a_new_one_and_the_stream_says_what_became_of_it()
    {
        await using var journal = (SqliteJournal)Open();
        var committed = (AppendOutcome.Committed)await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        var before = journal.Session();
        SQLitePCL.raw.sqlite3_commit_hook(before.Handle, _ => 1, null);
        var append = new JournalAppend("web", committed.Head, Samples.Committed(1));
        Assert.IsType<AppendOutcome.Unknown>(await journal.AppendAsync(append));
        Assert.NotSame(before, journal.Session());
        await journal.ProveDurableAsync("web");
        Assert.Equal(committed.Head, (await EventStream.RecoverAsync(journal, "web")).Head);
        Assert.IsType<AppendOutcome.Committed>(await journal.AppendAsync(append));
    }

    [Fact]
    public async Task What_is_proved_durable_stands_in_the_database_file_and_the_log_is_empty()
    {
        await using var journal = Open();
        await using var other = Open();
        await other.ListMachinesAsync();
        var outcome = await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        await journal.ProveDurableAsync("web");
        Assert.Equal(0, new FileInfo(Database + "-wal").Length);
        File.Copy(Database, _folder.File("alone.db"));
        await using var alone = SqliteJournal.Open(_folder.File("alone.db"), readOnly: true, TimeProvider.System);
        Assert.Equal(Assert.IsType<AppendOutcome.Committed>(outcome).Head, (await EventStream.RecoverAsync(alone, "web")).Head);
    }

    [Theory]
    [InlineData("BEGIN; SELECT * FROM journal")]
    [InlineData("BEGIN IMMEDIATE")]
    public async Task While_others_keep_the_store_busy_nothing_is_proved(string sql)
    {
        await using var journal = Open();
        await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        using var busy = SqliteSession.Open(Database, readOnly: false);
        busy.Script(sql);
        var exception = await Assert.ThrowsAsync<StoreException>(() => SqliteDurability.ProveAsync(Database, TimeSpan.FromMilliseconds(200), default));
        Assert.Contains("cannot prove", exception.Message, StringComparison.Ordinal);
        var proof = journal.ProveDurableAsync("web");
        await Task.Delay(100);
        Assert.False(proof.IsCompleted);
        busy.Script("ROLLBACK");
        await proof;
    }

    [Fact]
    public async Task What_cannot_be_written_cannot_be_proved()
    {
        await using var journal = Open();
        await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        await using var reader = SqliteJournal.Open(Database, readOnly: true, TimeProvider.System);
        Assert.Contains("cannot prove", (await Assert.ThrowsAsync<StoreException>(() => reader.ProveDurableAsync("web"))).Message, StringComparison.Ordinal);
        foreach (var file in Directory.GetFiles(_folder.Path))
            File.Delete(file);
        Assert.Contains("cannot prove", (await Assert.ThrowsAsync<StoreException>(() => journal.ProveDurableAsync("web"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_transaction_that_is_not_committed_leaves_nothing()
    {
        await using var journal = Open();
        using (var session = SqliteSession.Open(Database, readOnly: false))
        {
            session.Script("BEGIN IMMEDIATE");
            session.Script("INSERT INTO journal (created, deleted, persistence_id, sequence_number, message) VALUES (1, 0, 'vm-web', 1, x'00')");
        }

        Assert.Empty(await journal.ListMachinesAsync());
        Assert.IsType<AppendOutcome.Committed>(await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web"))));
    }

    [Fact]
    public async Task A_writer_that_others_wrote_after_takes_a_new_writer_id()
    {
        await using var one = Open();
        await using var other = Open();
        var head = JournalHead.Empty;
        foreach (var (journal, @event) in new (IJournal, MachineEvent)[]
        {
            (one, Samples.Registered("web")), (one, Samples.Committed(1)), (other, Samples.Committed(2)), (one, Samples.Committed(3)),
        })
            head = ((AppendOutcome.Committed)await journal.AppendAsync(new JournalAppend("web", head, @event))).Head;

        using var session = SqliteSession.Open(Database, readOnly: true);
        var ids = session.Column("SELECT writer_uuid FROM journal ORDER BY sequence_number");
        Assert.Equal(ids[0], ids[1]);
        Assert.Equal(3, ids.Distinct().Count());
        Assert.All(ids, id => Assert.Matches("^[0-9a-f]{32}$", id));
    }

    [Fact]
    public async Task Rows_are_what_other_readers_of_the_tables_expect()
    {
        await using var journal = Open();
        await journal.AppendAsync(new JournalAppend("web", JournalHead.Empty, Samples.Registered("web")));
        using var session = SqliteSession.Open(Database, readOnly: true);
        var row = session.Column("SELECT ordering || '|' || deleted || '|' || persistence_id || '|' || sequence_number || '|' || manifest || '|' || identifier || '|' || typeof(message) || '|' || (created > 638000000000000000) FROM journal");
        Assert.Equal(["1|0|vm-web|1|machine-registered-v1|8710|blob|1"], row);
        Assert.Equal(["2"], session.Column("PRAGMA synchronous"));
        Assert.Equal(["wal"], session.Column("PRAGMA journal_mode"));
    }

    private void Script(string sql)
    {
        using var session = SqliteSession.Open(Database, readOnly: false);
        session.Script(sql);
    }
}
