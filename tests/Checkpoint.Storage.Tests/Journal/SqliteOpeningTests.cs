using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Journal.Sqlite;

namespace Checkpoint.Storage.Tests.Journal;

public sealed class SqliteOpeningTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_missing_store_is_not_created_by_a_reader()
    {
        var exception = Refused("none.db", StoreFailure.NotFound, readOnly: true);
        Assert.Contains("none.db", exception.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_file_that_is_no_database_is_refused_and_left_alone()
    {
        var text = new string('x', 5000);
        File.WriteAllText(_folder.File("notes.txt"), text);
        Assert.Contains("not an SQLite database", Refused("notes.txt", StoreFailure.Unusable).Message, StringComparison.Ordinal);
        Assert.Contains("not an SQLite database", Refused("notes.txt", StoreFailure.Unusable, readOnly: true).Message, StringComparison.Ordinal);
        Assert.Equal(text, File.ReadAllText(_folder.File("notes.txt")));
    }

    [Fact]
    public void A_folder_and_a_path_without_its_folder_are_refused()
    {
        Assert.Contains("folder", Refused("", StoreFailure.Unusable).Message, StringComparison.Ordinal);
        Assert.Contains("does not exist", Refused("a/b.db", StoreFailure.Unusable).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_with_other_tables_is_shared()
    {
        Script("app.db", "CREATE TABLE customers (id); PRAGMA user_version = 42");
        Assert.Contains("holds no checkpoints", Refused("app.db", StoreFailure.NotFound, readOnly: true).Message, StringComparison.Ordinal);
        await using var journal = SqliteJournal.Open(_folder.File("app.db"), readOnly: false, TimeProvider.System);
        Assert.Empty(await journal.ListMachinesAsync());
        using var session = SqliteSession.Open(_folder.File("app.db"), readOnly: true);
        Assert.Equal(["42"], session.Column("PRAGMA user_version"));
    }

    [Theory]
    [InlineData("CREATE TABLE journal (id INTEGER, text TEXT)", "ordering")]
    [InlineData("CREATE TABLE snapshot (persistence_id TEXT)", "snapshot")]
    [InlineData("CREATE TABLE journal (ordering INTEGER PRIMARY KEY, created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid, extra INT NOT NULL)", "extra")]
    [InlineData("CREATE TABLE journal (ordering INTEGER PRIMARY KEY, created, deleted, persistence_id, sequence_number, message, manifest, identifier, writer_uuid)", "unique")]
    public void A_table_of_ours_in_another_shape_is_refused_and_nothing_is_made(string sql, string told)
    {
        Script("other.db", sql);
        Assert.Contains(told, Refused("other.db", StoreFailure.Unusable).Message, StringComparison.Ordinal);
        using var session = SqliteSession.Open(_folder.File("other.db"), readOnly: true);
        Assert.Single(session.Column("SELECT name FROM sqlite_master WHERE type = 'table'"));
    }

    [Fact]
    public async Task A_newer_schema_is_refused()
    {
        await SqliteJournal.Open(_folder.File("new.db"), readOnly: false, TimeProvider.System).DisposeAsync();
        Script("new.db", "INSERT INTO checkpoint_schema VALUES (2)");
        Assert.Contains("schema version 2", Refused("new.db", StoreFailure.Unusable).Message, StringComparison.Ordinal);
        Assert.Contains("schema version 2", Refused("new.db", StoreFailure.Unusable, readOnly: true).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_the_owner_can_open_the_files()
    {
        await using var journal = SqliteJournal.Open(_folder.File("mine.db"), readOnly: false, TimeProvider.System);
        await journal.AppendAsync(new JournalAppend("web", default, Samples.Registered("web")));
        var files = Directory.GetFiles(_folder.Path);
        Assert.Equal(3, files.Length);
        Assert.All(files, file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
    }

    [Fact]
    public async Task Two_that_create_the_store_at_once_both_succeed()
    {
        for (var round = 0; round < 20; round++)
        {
            var path = _folder.File($"both{round}.db");
            var opened = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => SqliteJournal.Open(path, readOnly: false, TimeProvider.System))));
            foreach (var journal in opened)
                await journal.DisposeAsync();
        }
    }

    [Theory]
    [InlineData(5, typeof(AppendOutcome.Refused), typeof(AppendOutcome.Refused))]
    [InlineData(13, typeof(AppendOutcome.Refused), typeof(AppendOutcome.Refused))]
    [InlineData(8, typeof(AppendOutcome.Refused), typeof(AppendOutcome.Unknown))]
    [InlineData(10 | (4 << 8), typeof(AppendOutcome.Refused), typeof(AppendOutcome.Unknown))]
    [InlineData(10 | (3 << 8), typeof(AppendOutcome.Refused), typeof(AppendOutcome.Unknown))]
    [InlineData(7, typeof(AppendOutcome.Refused), typeof(AppendOutcome.Unknown))]
    [InlineData(19 | (8 << 8), typeof(AppendOutcome.Conflict), typeof(AppendOutcome.Unknown))]
    [InlineData(19 | (7 << 8), typeof(AppendOutcome.Refused), typeof(AppendOutcome.Unknown))]
    public void Each_result_of_sqlite_has_its_outcome(int code, Type before, Type at)
    {
        Assert.IsType(before, SqliteResults.BeforeCommit(code, "x"));
        Assert.IsType(at, SqliteResults.AtCommit(code, "x"));
    }

    [Theory]
    [InlineData(4874, "disk may be full")]
    [InlineData(778, "disk may be full")]
    [InlineData(3850, "may have no locks")]
    [InlineData(3338, "permissions")]
    [InlineData(1034, "check the disk")]
    public void An_io_error_of_sqlite_says_what_to_do(int code, string told) => Assert.Matches(told, new SqliteFault(code).Advice);

    [Fact]
    public async Task A_store_without_an_id_gets_one_when_it_is_opened_for_writing_and_keeps_it()
    {
        await SqliteJournal.Open(_folder.File("old.db"), readOnly: false, TimeProvider.System).DisposeAsync();
        Script("old.db", "DROP TABLE checkpoint_store");
        await using (var reader = SqliteJournal.Open(_folder.File("old.db"), readOnly: true, TimeProvider.System))
            Assert.Null(reader.StoreId);
        await using var one = SqliteJournal.Open(_folder.File("old.db"), readOnly: false, TimeProvider.System);
        await using var other = SqliteJournal.Open(_folder.File("old.db"), readOnly: true, TimeProvider.System);
        Assert.Matches("^[0-9a-f]{32}$", one.StoreId);
        Assert.Equal(one.StoreId, other.StoreId);
    }

    [Fact]
    public async Task A_store_without_a_place_for_documents_ahead_gets_one_when_it_is_opened_for_writing()
    {
        await SqliteJournal.Open(_folder.File("old.db"), readOnly: false, TimeProvider.System).DisposeAsync();
        Script("old.db", "DROP TABLE state_document_ahead");
        await using (var reader = SqliteJournal.Open(_folder.File("old.db"), readOnly: true, TimeProvider.System))
            Assert.Null(await reader.LoadDocumentAheadAsync("web"));
        await using var writer = SqliteJournal.Open(_folder.File("old.db"), readOnly: false, TimeProvider.System);
        await writer.AppendAsync(new JournalAppend("web", JournalHead.Empty, [], new NewStateDocument(1, new byte[] { 1 }), []));
        Assert.Equal(new DocumentAhead(1, 1), await writer.LoadDocumentAheadAsync("web"));
    }

    private StoreException Refused(string name, StoreFailure failure, bool readOnly = false)
    {
        var exception = Assert.Throws<StoreException>(() => SqliteJournal.Open(_folder.File(name), readOnly, TimeProvider.System));
        Assert.Equal(failure, exception.Failure);
        Assert.DoesNotContain('\n', exception.Message);
        return exception;
    }

    private void Script(string name, string sql)
    {
        File.AppendAllText(_folder.File(name), "");
        using var session = SqliteSession.Open(_folder.File(name), readOnly: false);
        session.Script(sql);
    }
}
