using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Journal.Sqlite;
using Checkpoint.Storage.Locks;
using Checkpoint.Storage.Payloads;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests;

public sealed class CheckpointStoreTests : IDisposable
{
    private const string Vm = "web";

    private readonly TemporaryFolder _folder = new();

    private string Database => _folder.File("test.db");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("postgres://host/db", "not supported yet")]
    [InlineData("postgresql://host/db", "not supported yet")]
    [InlineData("sqlite:", "is no store")]
    [InlineData("checkpoints.db", "is no store")]
    [InlineData("mysql://host/db", "is no store")]
    [InlineData("sqlite: ", "has no path")]
    [InlineData("sqlite::memory:", "use memory:")]
    [InlineData("sqlite:file:x.db?mode=ro", "SQLite URI")]
    public void A_uri_of_another_kind_is_refused(string uri, string told)
    {
        var exception = Assert.Throws<StoreException>(() => CheckpointStore.Open(new StoreOptions(uri), TimeProvider.System));
        Assert.Contains(told, exception.Message, StringComparison.Ordinal);
        Assert.Equal(StoreFailure.BadUri, exception.Failure);
    }

    [Fact]
    public async Task What_the_system_says_ends_without_its_period()
    {
        File.WriteAllText(_folder.File("test.db.lock"), "");
        await using var store = Open();
        var exception = Assert.Throws<StoreException>(() => store.Lock(Vm));
        Assert.DoesNotContain(".;", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Segments_of_one_store_are_not_touched_by_another()
    {
        await using var store = Open();
        await StoreCheckpoint(store, 1, JournalHead.Empty);
        await using var other = CheckpointStore.Open(new StoreOptions("sqlite:" + _folder.File("b.db"), _folder.File("test.db.d")), TimeProvider.System);
        var exception = Assert.Throws<StoreException>(() => other.Lock(Vm));
        Assert.Equal(StoreFailure.Unusable, exception.Failure);
        Assert.Contains("belongs to another store", exception.Message, StringComparison.Ordinal);
        using var held = FileMachineLock.Acquire(_folder.File("b.db.lock"), Vm);
        await Assert.ThrowsAsync<StoreException>(() => other.SweepAsync(held));
        Assert.Throws<StoreException>(() => other.Segments.Sweep(held, MachineHistory.Empty));
        Assert.Throws<StoreException>(() => other.Segments.Delete(held, store.Segments.List(Vm)[0]));
        await Assert.ThrowsAsync<StoreException>(() => StoreCheckpoint(other, 1, JournalHead.Empty));
        var committed = (await store.RecoverAsync(Vm)).Live[1];
        Assert.Throws<StoreException>(() => other.Segments.Open(Vm, committed));
        Assert.Empty((await store.VerifyAsync()).Damages);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder.File("test.db.d/.store")));
    }

    [Fact]
    public async Task A_store_that_was_moved_with_its_segments_goes_on()
    {
        await using (var store = Open())
            await StoreCheckpoint(store, 1, JournalHead.Empty);
        File.Move(Database, _folder.File("moved.db"));
        Directory.Move(Database + ".d", _folder.File("moved.db.d"));
        await using var moved = CheckpointStore.Open(new StoreOptions("sqlite:" + _folder.File("moved.db")), TimeProvider.System);
        using var held = moved.Lock(Vm);
        Assert.Empty((await moved.SweepAsync(held)).Segments);
        await StoreCheckpoint(moved, 2, (await moved.RecoverAsync(Vm)).Head);
        Assert.Equal((2L, 0), await Verified(moved));
    }

    [Fact]
    public async Task Segments_without_an_owner_are_taken_by_the_database_that_they_lie_beside_and_by_no_other()
    {
        await using (var store = Open())
            await StoreCheckpoint(store, 1, JournalHead.Empty);
        File.Delete(_folder.File("test.db.d/.store"));
        await using var other = CheckpointStore.Open(new StoreOptions("sqlite:" + _folder.File("b.db"), _folder.File("test.db.d")), TimeProvider.System);
        Assert.Contains("does not say of which store", Assert.Throws<StoreException>(() => other.Lock(Vm)).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("test.db.d/.store")));
        await using var own = Open();
        using var held = own.Lock(Vm);
        Assert.True(File.Exists(_folder.File("test.db.d/.store")));
        Assert.Equal((1L, 0), await Verified(own));
    }

    [Fact]
    public async Task Of_two_stores_that_take_a_folder_at_once_one_has_it()
    {
        for (var round = 0; round < 10; round++)
        {
            var folder = _folder.File($"shared{round}");
            var stores = Enumerable.Range(0, 4).Select(i => CheckpointStore.Open(new StoreOptions($"sqlite:{_folder.File($"{round}-{i}.db")}", folder), TimeProvider.System)).ToArray();
            var taken = await Task.WhenAll(stores.Select(store => Task.Run(() =>
            {
                try
                {
                    store.Lock(Vm).Dispose();
                    return true;
                }
                catch (StoreException)
                {
                    return false;
                }
            })));
            Assert.Single(taken, one => one);
            Assert.Equal([".store"], Directory.EnumerateFiles(folder).Select(Path.GetFileName));
            foreach (var store in stores)
                await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_sweep_believes_the_events_and_no_snapshot()
    {
        await using var store = Open();
        using var held = store.Lock(Vm);
        await StoreCheckpoint(store, 1, JournalHead.Empty);
        var history = await store.RecoverAsync(Vm);
        await EventStream.SaveSnapshotAsync(store.Journal, Vm, history with { Live = history.Live.Clear() });
        Assert.Empty((await store.RecoverAsync(Vm)).Live);
        var report = await store.SweepAsync(held);
        Assert.Empty(report.Segments);
        Assert.Empty(report.StateDocuments);
        Assert.Equal("snapshot", Assert.Single((await store.VerifyAsync()).Damages).Part);
    }

    [Fact]
    public async Task A_sweep_removes_nothing_on_the_word_of_events_that_may_not_be_on_the_disk()
    {
        await using var store = Open();
        using var held = store.Lock(Vm);
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        using var reader = SqliteSession.Open(Database, readOnly: false);
        reader.Script("BEGIN; SELECT * FROM journal");
        Assert.Empty((await store.SweepAsync(held)).Segments);
        await store.Journal.AppendAsync(new JournalAppend(Vm, head, new MachineEvent.CheckpointPruned([1]) { At = Samples.Noon }));
        Assert.Contains("cannot prove", (await Assert.ThrowsAsync<StoreException>(() => store.SweepAsync(held))).Message, StringComparison.Ordinal);
        Assert.Single(store.Segments.List(Vm));
        reader.Script("ROLLBACK");
        Assert.Single((await store.SweepAsync(held)).Segments);
    }

    [Theory]
    [InlineData("UPDATE snapshot SET snapshot = zeroblob(100)", 1)]
    [InlineData("UPDATE snapshot SET snapshot = substr(snapshot, 1, 200) || x'ff' || substr(snapshot, 202)", 1)]
    [InlineData("UPDATE snapshot SET manifest = 'machine-history-v3'", 1)]
    [InlineData("UPDATE snapshot SET sequence_number = 1", 1)]
    [InlineData("UPDATE snapshot SET manifest = 'machine-history-v1'", 0)]
    [InlineData("SELECT 1", 0)]
    public async Task A_snapshot_that_is_not_what_was_written_is_a_damage_of_its_own(string sql, int damages)
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        await EventStream.SaveSnapshotAsync(store.Journal, Vm, await store.RecoverAsync(Vm));
        await StoreCheckpoint(store, 2, head);
        using (var session = SqliteSession.Open(Database, readOnly: false))
            session.Script(sql);
        var found = (await store.VerifyAsync()).Damages;
        Assert.Equal(Enumerable.Repeat("snapshot", damages), found.Select(damage => damage.Part));
        Assert.Equal(2, (await store.RecoverAsync(Vm)).Live.Count);
    }

    [Fact]
    public async Task Segments_and_locks_lie_beside_the_database()
    {
        await using var store = Open();
        using var held = store.Lock(Vm);
        await StoreCheckpoint(store, 1, JournalHead.Empty);
        Assert.Equal(_folder.File("test.db.d"), store.Segments.Folder);
        Assert.True(File.Exists(_folder.File("test.db.lock/web")));
        Assert.Single(Directory.EnumerateFiles(_folder.File("test.db.d/web")));
    }

    [Fact]
    public async Task Another_name_of_the_database_leads_to_the_same_locks()
    {
        await using var store = Open();
        File.CreateSymbolicLink(_folder.File("link.db"), Database);
        await using var other = CheckpointStore.Open(new StoreOptions("sqlite:" + _folder.File("link.db")), TimeProvider.System);
        using var held = store.Lock(Vm);
        Assert.Equal(StoreFailure.Held, Assert.Throws<StoreException>(() => other.Lock(Vm)).Failure);
    }

    [Fact]
    public async Task A_store_in_memory_does_all_that_one_on_disk_does_and_leaves_nothing()
    {
        string folder;
        await using (var store = CheckpointStore.Open(new StoreOptions("memory:"), TimeProvider.System))
        {
            folder = store.Segments.Folder;
            using var held = store.Lock(Vm);
            await StoreCheckpoint(store, 1, JournalHead.Empty);
            var report = await store.VerifyAsync();
            Assert.Equal((1L, 1L, 0), (report.Checkpoints, report.Segments, report.Damages.Count));
        }

        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task A_state_document_comes_back_by_its_event()
    {
        await using var store = Open();
        await StoreCheckpoint(store, 1, JournalHead.Empty);
        var committed = (await store.RecoverAsync(Vm)).Live[1];
        Assert.Equal(Shape.Of(Samples.Document()), Shape.Of(await store.LoadAsync(Vm, committed)));
    }

    [Fact]
    public async Task A_store_without_damage_verifies()
    {
        await using (var store = Open())
        {
            var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
            await StoreCheckpoint(store, 2, head);
        }

        await using var reader = CheckpointStore.Open(new StoreOptions("sqlite:" + Database, ReadOnly: true), TimeProvider.System);
        var report = await reader.VerifyAsync();
        Assert.Equal((2L, 2L, 0), (report.Checkpoints, report.Segments, report.Damages.Count));
        Assert.Equal(1, (await reader.VerifyAsync(Vm, 2)).Checkpoints);
        Assert.Contains("reading only", Assert.Throws<StoreException>(() => reader.Lock(Vm)).Message, StringComparison.Ordinal);
        Assert.Equal(StoreFailure.NotFound, (await Assert.ThrowsAsync<StoreException>(() => reader.VerifyAsync(Vm, 3))).Failure);
        Assert.Equal(StoreFailure.NotFound, (await Assert.ThrowsAsync<StoreException>(() => reader.VerifyAsync("mail"))).Failure);
    }

    [Fact]
    public async Task A_flipped_bit_anywhere_in_a_state_document_is_found()
    {
        await using var store = Open();
        await StoreCheckpoint(store, 1, JournalHead.Empty);
        var committed = (await store.RecoverAsync(Vm)).Live[1];
        var bytes = (await store.ReadStateDocumentAsync(Vm, committed)).ToArray();
        using var session = SqliteSession.Open(Database, readOnly: false);
        using var update = session.Prepare("UPDATE state_document SET document = ?1");
        session.Script("PRAGMA synchronous = OFF");
        for (var at = 0; at < bytes.Length; at += 5)
        {
            bytes[at] ^= 0x10;
            update.Bind(1, bytes).Run();
            Assert.Equal("state document", (await Assert.ThrowsAsync<IntegrityException>(() => store.LoadAsync(Vm, committed))).Part);
            bytes[at] ^= 0x10;
        }
    }

    [Theory]
    [InlineData("UPDATE state_document SET document = x'00' WHERE number = 1", "state document", 1)]
    [InlineData("DELETE FROM state_document WHERE number = 2", "state document", 2)]
    [InlineData("DELETE FROM journal WHERE sequence_number = 2", "journal", null)]
    [InlineData("UPDATE journal SET manifest = 'checkpoint-pinned-v1' WHERE sequence_number = 3", "journal", null)]
    [InlineData("UPDATE journal SET identifier = 1 WHERE sequence_number = 3", "journal", null)]
    [InlineData("INSERT INTO snapshot VALUES ('vm-web', 9, 1, x'00', 'm', 8710)", "journal", null)]
    [InlineData("DELETE FROM journal WHERE sequence_number = 3", "journal", null)]
    public async Task A_damage_is_reported_with_its_place(string sql, string part, int? checkpoint)
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        await StoreCheckpoint(store, 2, head);
        using (var session = SqliteSession.Open(Database, readOnly: false))
            session.Script(sql);
        var damage = Assert.Single((await store.VerifyAsync()).Damages);
        Assert.Equal((Vm, part, (long?)checkpoint), (damage.Vm, damage.Part, damage.Checkpoint));
    }

    [Fact]
    public async Task A_document_stored_ahead_of_an_event_that_has_not_come_is_no_damage_and_is_swept()
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        await StoreAheadAsync(store, 2, head);
        Assert.Equal(new DocumentAhead(2, head.SequenceNumber + 1), await store.Journal.LoadDocumentAheadAsync(Vm));
        var report = await store.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal([new Uncommitted(Vm, 2)], report.Uncommitted);

        // Another event in the place of its own, before the document has gone: none is missing.
        var aborted = new MachineEvent.CheckpointAborted("lost", null, null, null) { At = Samples.Noon };
        using (var session = SqliteSession.Open(Database, readOnly: false))
            session.Script("CREATE TABLE kept AS SELECT * FROM state_document_ahead");
        await store.Journal.AppendAsync(new JournalAppend(Vm, head, aborted));
        Assert.Null(await store.Journal.LoadDocumentAheadAsync(Vm));
        using (var session = SqliteSession.Open(Database, readOnly: false))
            session.Script("INSERT INTO state_document_ahead SELECT * FROM kept; DROP TABLE kept");
        report = await store.VerifyAsync();
        Assert.Equal((0, 1), (report.Damages.Count, report.Uncommitted.Count));

        using var held = store.Lock(Vm);
        Assert.Equal([2], (await store.SweepAsync(held)).StateDocuments);
        Assert.Empty((await store.VerifyAsync()).Uncommitted);
    }

    [Theory]
    [InlineData("DELETE FROM journal WHERE sequence_number >= 2")]
    [InlineData("UPDATE state_document_ahead SET number = 7")]
    [InlineData("DELETE FROM state_document_ahead")]
    public async Task A_document_ahead_does_not_hide_events_that_are_missing(string sql)
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        head = await StoreCheckpoint(store, 2, head);
        await StoreAheadAsync(store, 3, head);
        using (var session = SqliteSession.Open(Database, readOnly: false))
            session.Script(sql);
        var report = await store.VerifyAsync();
        Assert.EndsWith("events are missing", Assert.Single(report.Damages).What, StringComparison.Ordinal);
        Assert.Empty(report.Uncommitted);
    }

    [Fact]
    public async Task Each_damaged_page_is_reported_and_so_is_a_missing_segment()
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        await StoreCheckpoint(store, 2, head);
        var names = store.Segments.List(Vm);
        File.Delete(_folder.File($"test.db.d/web/{names[1]}"));
        using (var file = File.OpenHandle(_folder.File($"test.db.d/web/{names[0]}"), FileMode.Open, FileAccess.ReadWrite))
        {
            RandomAccess.Write(file, [0], 4096 + 17);
            RandomAccess.Write(file, [0], 8192 + 17);
        }

        var report = await store.VerifyAsync();
        Assert.Equal([1L, 1L, 2L], report.Damages.Select(damage => damage.Checkpoint));
        Assert.All(report.Damages, damage => Assert.StartsWith("segment 0000", damage.Part, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_part_that_goes_because_its_checkpoint_is_pruned_meanwhile_is_no_damage()
    {
        await using var store = Open();
        await using var reader = CheckpointStore.Open(new StoreOptions("sqlite:" + Database, ReadOnly: true), TimeProvider.System);
        using var held = store.Lock(Vm);
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        await StoreCheckpoint(store, 2, head);
        var report = await reader.VerifyAsync(progress: new Pruning(store, held));
        Assert.Empty(report.Damages);
        Assert.Equal(1, report.Checkpoints);
    }

    [Fact]
    public async Task An_increment_whose_parent_is_gone_is_damage()
    {
        await using var store = Open();
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        head = await StoreCheckpoint(store, 2, head, CheckpointMode.Incremental);
        await store.Journal.AppendAsync(new JournalAppend(Vm, head, new MachineEvent.CheckpointPruned([1]) { At = Samples.Noon }));
        Assert.StartsWith("event 4: checkpoint 1 is pruned", Assert.Single((await store.VerifyAsync()).Damages).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sweep_removes_segments_and_documents_that_no_checkpoint_names()
    {
        await using var store = Open();
        using var held = store.Lock(Vm);
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        head = await StoreCheckpoint(store, 2, head);
        await store.Journal.AppendAsync(new JournalAppend(Vm, head, new MachineEvent.CheckpointPruned([1]) { At = Samples.Noon }));
        var report = await store.SweepAsync(held);
        Assert.Equal([1], report.StateDocuments);
        Assert.StartsWith("000000000001-", Assert.Single(report.Segments), StringComparison.Ordinal);
        var after = await store.VerifyAsync();
        Assert.Equal((1L, 0), (after.Checkpoints, after.Damages.Count));
        report = await store.SweepAsync(held);
        Assert.Empty(report.Segments);
    }

    [Fact]
    public async Task A_sweep_on_a_full_disk_removes_the_segments_and_leaves_the_documents_to_a_later_one()
    {
        var faults = new FaultPlan();
        await using var store = CheckpointStore.Open(new StoreOptions("sqlite:" + Database) { Faults = faults }, TimeProvider.System);
        using var held = store.Lock(Vm);
        var head = await StoreCheckpoint(store, 1, JournalHead.Empty);
        head = await StoreCheckpoint(store, 2, head);
        await store.Journal.AppendAsync(new JournalAppend(Vm, head, new MachineEvent.CheckpointPruned([1]) { At = Samples.Noon }));
        faults.On(FaultCalls.JournalAppend).Fail(28);
        var report = await store.SweepAsync(held);
        Assert.Equal((1, 0), (report.Segments.Count, report.StateDocuments.Count));
        faults.Disarm();
        Assert.Equal([1], (await store.SweepAsync(held)).StateDocuments);
    }

    private static async Task StoreAheadAsync(CheckpointStore store, long number, JournalHead head) =>
        Assert.IsType<AppendOutcome.Committed>(
            await store.Journal.AppendAsync(new JournalAppend(Vm, head, [], new NewStateDocument(number, new byte[] { 1 }), [])));

    private static async Task<JournalHead> StoreCheckpoint(
        CheckpointStore store,
        long number,
        JournalHead head,
        CheckpointMode mode = CheckpointMode.Full)
    {
        var document = StateDocumentCodec.Encode(Samples.Document());
        var committed = Samples.Committed(number, document.Span) with { Mode = mode };
        var memory = new byte[5 * 4096];
        memory.AsSpan(0, 4 * 4096).Fill((byte)number);
        var identity = new SegmentIdentity(Vm, number, committed.Id, mode, committed.Parent);
        var part = store.Segments.Write(identity, [new PageRun(0, memory)]);
        MachineEvent[] events = head == JournalHead.Empty ? [Samples.Registered(Vm), committed with { Segment = part }] : [committed with { Segment = part }];
        var outcome = await store.Journal.AppendAsync(new JournalAppend(Vm, head, events, new NewStateDocument(number, document), []));
        return Assert.IsType<AppendOutcome.Committed>(outcome).Head;
    }

    private static async Task<(long Checkpoints, int Damages)> Verified(CheckpointStore store)
    {
        var report = await store.VerifyAsync();
        return (report.Checkpoints, report.Damages.Count);
    }

    private CheckpointStore Open() => CheckpointStore.Open(new StoreOptions("sqlite:" + Database), TimeProvider.System);

    /// <summary>Prunes the first checkpoint in the moment in which it is about to be read.</summary>
    private sealed class Pruning(CheckpointStore store, IMachineLock held) : IProgress<VerifyProgress>
    {
        private bool _done;

        public void Report(VerifyProgress value)
        {
            if (_done)
                return;
            _done = true;
            var head = store.RecoverAsync(Vm).GetAwaiter().GetResult().Head;
            var pruned = new JournalAppend(Vm, head, new MachineEvent.CheckpointPruned([1]) { At = Samples.Noon });
            Assert.IsType<AppendOutcome.Committed>(store.Journal.AppendAsync(pruned).GetAwaiter().GetResult());
            store.SweepAsync(held).GetAwaiter().GetResult();
        }
    }
}
