using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Tests.Journal;

/// <summary>What every journal does, whatever it is made of.</summary>
public abstract class JournalContract
{
    private const string Vm = "web";

    /// <summary>Opens the journal; a second call opens it a second time, as another process would.</summary>
    protected abstract IJournal Open();

    /// <summary>Takes a row away behind the journal's back.</summary>
    protected abstract void DeleteRow(string vm, long sequenceNumber);

    /// <summary>Changes a row's bytes behind the journal's back.</summary>
    protected abstract void EditRow(string vm, long sequenceNumber, byte[] message);

    [Fact]
    public async Task A_stream_without_events_is_empty()
    {
        await using var journal = Open();
        Assert.Same(MachineHistory.Empty, await EventStream.RecoverAsync(journal, Vm));
        Assert.Empty(await journal.ListMachinesAsync());
        Assert.Null(await journal.LoadSnapshotAsync(Vm));
        Assert.Null(await journal.ReadStateDocumentAsync(Vm, 1));
    }

    [Fact]
    public async Task What_was_appended_is_read_back()
    {
        await using var journal = Open();
        var head = await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        Assert.Equal(7, head.SequenceNumber);
        var stored = await Read(journal);
        Assert.Equal(Shape.Of(Samples.OneOfEach()), Shape.Of(stored.Select(one => one.Entry.Event)));
        Assert.Equal(head, stored[^1].Head);
        Assert.Equal([Vm], await journal.ListMachinesAsync());
    }

    [Fact]
    public async Task Events_of_one_append_are_chained_as_events_of_many()
    {
        await using var journal = Open();
        var head = JournalHead.Empty;
        foreach (var @event in Samples.OneOfEach())
            head = await Commit(journal, head, @event);
        Assert.Equal(head, (await Read(journal))[^1].Head);
        var previous = Digest.Zero;
        foreach (var row in await journal.ReadAsync(Vm, 0, 100))
        {
            Assert.Equal(previous, EventCodec.Decode(row.Manifest, row.SequenceNumber, row.Message).Previous);
            previous = Digest.Of(row.Message.Span);
        }
    }

    [Fact]
    public async Task An_append_with_a_stale_head_is_a_conflict()
    {
        await using var journal = Open();
        var first = await Commit(journal, JournalHead.Empty, Samples.Registered(Vm));
        await Commit(journal, first, Samples.Committed(1));
        var outcome = await journal.AppendAsync(new JournalAppend(Vm, first, Samples.Committed(1)));
        Assert.IsType<AppendOutcome.Conflict>(outcome);
        Assert.Equal(2, (await Read(journal)).Count);
    }

    [Fact]
    public async Task An_append_to_a_head_that_is_not_yet_there_is_a_conflict()
    {
        await using var journal = Open();
        var outcome = await journal.AppendAsync(new JournalAppend(Vm, new JournalHead(5, Digest.Of("x"u8)), Samples.Committed(1)));
        Assert.IsType<AppendOutcome.Conflict>(outcome);
    }

    [Fact]
    public async Task An_append_after_another_event_of_the_same_number_is_a_conflict()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, Samples.Registered(Vm));
        var outcome = await journal.AppendAsync(new JournalAppend(Vm, new JournalHead(1, Digest.Of("another"u8)), Samples.Committed(1)));
        Assert.IsType<AppendOutcome.Conflict>(outcome);
    }

    [Fact]
    public async Task Of_two_writers_one_wins_and_the_other_sees_a_conflict()
    {
        await using var one = Open();
        await using var other = Open();
        var head = await Commit(one, JournalHead.Empty, Samples.Registered(Vm));
        var outcomes = await Task.WhenAll(
            one.AppendAsync(new JournalAppend(Vm, head, Samples.Committed(1))),
            other.AppendAsync(new JournalAppend(Vm, head, Samples.Committed(1) with { Label = "other" })));
        Assert.Single(outcomes.OfType<AppendOutcome.Committed>());
        Assert.Single(outcomes.OfType<AppendOutcome.Conflict>());
        Assert.Equal(2, (await Read(other)).Count);
    }

    [Fact]
    public async Task A_conflict_leaves_neither_documents_nor_deletions_behind()
    {
        await using var journal = Open();
        var head = await Commit(journal, JournalHead.Empty, Samples.Registered(Vm));
        await journal.AppendAsync(new JournalAppend(Vm, head, [Samples.Committed(1)], new NewStateDocument(1, new byte[] { 1 }), []));
        var outcome = await journal.AppendAsync(new JournalAppend(Vm, head, [Samples.Committed(1)], new NewStateDocument(2, new byte[] { 2 }), [1]));
        Assert.IsType<AppendOutcome.Conflict>(outcome);
        Assert.Equal([1], await journal.ListStateDocumentsAsync(Vm));
    }

    [Fact]
    public async Task Documents_are_stored_and_deleted_with_the_events_of_their_append()
    {
        await using var journal = Open();
        var head = await Commit(journal, JournalHead.Empty, Samples.Registered(Vm));
        var stored = await journal.AppendAsync(new JournalAppend(Vm, head, [Samples.Committed(1)], new NewStateDocument(1, new byte[] { 1, 2 }), []));
        head = Assert.IsType<AppendOutcome.Committed>(stored).Head;
        Assert.Equal("0102", Convert.ToHexString((await journal.ReadStateDocumentAsync(Vm, 1))!.Value.Span));
        stored = await journal.AppendAsync(new JournalAppend(Vm, head, [Samples.Committed(2)], new NewStateDocument(2, new byte[] { 3 }), [1, 99]));
        Assert.IsType<AppendOutcome.Committed>(stored);
        Assert.Null(await journal.ReadStateDocumentAsync(Vm, 1));
        Assert.Equal([2], await journal.ListStateDocumentsAsync(Vm));
    }

    [Fact]
    public async Task A_document_left_over_under_a_number_is_replaced()
    {
        await using var journal = Open();
        var head = await Commit(journal, JournalHead.Empty, Samples.Registered(Vm));
        await journal.AppendAsync(new JournalAppend(Vm, head, [], new NewStateDocument(1, new byte[] { 1 }), []));
        await journal.AppendAsync(new JournalAppend(Vm, head, [Samples.Committed(1)], new NewStateDocument(1, new byte[] { 2 }), []));
        Assert.Equal("02", Convert.ToHexString((await journal.ReadStateDocumentAsync(Vm, 1))!.Value.Span));
    }

    [Fact]
    public async Task Streams_of_several_machines_are_apart()
    {
        await using var journal = Open();
        foreach (var vm in new[] { "b", "a.1", "a", "B-2" })
            await journal.AppendAsync(new JournalAppend(vm, JournalHead.Empty, Samples.Registered(vm)));
        Assert.Equal(["B-2", "a", "a.1", "b"], await journal.ListMachinesAsync());
        Assert.Equal("a", (await EventStream.RecoverAsync(journal, "a")).Registration!.Vm);
    }

    [Fact]
    public async Task A_recovery_with_a_snapshot_and_one_without_give_the_same()
    {
        await using var journal = Open();
        var events = Samples.OneOfEach();
        var head = await Commit(journal, JournalHead.Empty, [.. events.Take(4)]);
        await EventStream.SaveSnapshotAsync(journal, Vm, await EventStream.RecoverAsync(journal, Vm));
        await Commit(journal, head, [.. events.Skip(4)]);
        var whole = await EventStream.CatchUpAsync(journal, Vm, MachineHistory.Empty);
        Assert.Equal(Shape.Of(whole), Shape.Of(await EventStream.RecoverAsync(journal, Vm)));
    }

    [Fact]
    public async Task What_is_proved_durable_is_what_was_read_before()
    {
        await using var journal = Open();
        await journal.ProveDurableAsync(Vm);
        var head = await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        await journal.ProveDurableAsync(Vm);
        Assert.Equal(head, (await Read(journal))[^1].Head);
        await Commit(journal, head, Samples.Committed(2));
    }

    [Fact]
    public async Task A_snapshot_with_a_flipped_bit_anywhere_is_as_if_there_were_none()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach().Take(4)]);
        var history = await EventStream.RecoverAsync(journal, Vm);
        var bytes = Samples.Encode(history);
        for (var at = 0; at < bytes.Length; at++)
        {
            var damaged = bytes.ToArray();
            damaged[at] ^= 0x04;
            await journal.SaveSnapshotAsync(Vm, new SnapshotRow(4, 8710, SnapshotCodec.Manifest, damaged));
            Assert.Equal(Shape.Of(history), Shape.Of(await EventStream.RecoverAsync(journal, Vm)));
            Assert.Throws<PayloadException>(() => SnapshotCodec.Decode(SnapshotCodec.Manifest, damaged));
        }
    }

    [Fact]
    public async Task The_two_newest_snapshots_stay_and_the_newest_is_loaded()
    {
        await using var journal = Open();
        for (var i = 1; i <= 4; i++)
            await journal.SaveSnapshotAsync(Vm, new SnapshotRow(i, 8710, "m", new byte[] { (byte)i }));
        await journal.SaveSnapshotAsync(Vm, new SnapshotRow(4, 8710, "m", new byte[] { 44 }));
        var newest = await journal.LoadSnapshotAsync(Vm);
        Assert.Equal((4L, "2C"), (newest!.SequenceNumber, Convert.ToHexString(newest.Bytes.Span)));
    }

    [Theory]
    [InlineData(new byte[] { 1, 2, 3 })]
    [InlineData(new byte[0])]
    public async Task A_snapshot_that_does_not_decode_is_as_if_there_were_none(byte[] bytes)
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        await journal.SaveSnapshotAsync(Vm, new SnapshotRow(3, 8710, SnapshotCodec.Manifest, bytes));
        Assert.Equal(7, (await EventStream.RecoverAsync(journal, Vm)).Head.SequenceNumber);
    }

    [Fact]
    public async Task A_snapshot_of_another_stream_is_as_if_there_were_none()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach().Select(one => one with { At = Samples.Noon.AddDays(1) })]);
        await journal.SaveSnapshotAsync(Vm, new SnapshotRow(5, 8710, SnapshotCodec.Manifest, Samples.Encode(Samples.History())));
        var history = await EventStream.RecoverAsync(journal, Vm);
        Assert.Empty(history.Live);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(6)]
    public async Task A_missing_row_is_noticed(long sequenceNumber)
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        DeleteRow(Vm, sequenceNumber);
        var exception = await Assert.ThrowsAsync<IntegrityException>(() => Read(journal));
        Assert.Equal((Vm, "journal", sequenceNumber), (exception.Vm, exception.Part, exception.SequenceNumber));
    }

    [Fact]
    public async Task An_edited_row_is_noticed_by_the_one_after_it()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        var pinned = (MachineEvent.CheckpointPinned)Samples.OneOfEach()[3];
        var previous = Digest.Of((await journal.ReadAsync(Vm, 2, 1))[0].Message.Span);
        EditRow(Vm, 4, Samples.Encode(previous, pinned with { At = Samples.Noon.AddSeconds(1) }));
        var exception = await Assert.ThrowsAsync<IntegrityException>(() => Read(journal));
        Assert.Equal(5, exception.SequenceNumber);
    }

    [Fact]
    public async Task A_row_that_does_not_decode_is_noticed()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, [.. Samples.OneOfEach()]);
        EditRow(Vm, 7, [1, 2, 3]);
        Assert.Equal(7, (await Assert.ThrowsAsync<IntegrityException>(() => Read(journal))).SequenceNumber);
    }

    [Fact]
    public async Task An_event_that_cannot_follow_is_damage()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, Samples.Registered(Vm), Samples.Committed(3));
        Assert.Equal(2, (await Assert.ThrowsAsync<IntegrityException>(() => EventStream.RecoverAsync(journal, Vm))).SequenceNumber);
    }

    [Fact]
    public async Task A_stream_that_registers_another_machine_is_damage()
    {
        await using var journal = Open();
        await Commit(journal, JournalHead.Empty, Samples.Registered("mail"));
        await Assert.ThrowsAsync<IntegrityException>(() => EventStream.RecoverAsync(journal, Vm));
    }

    [Fact]
    public async Task A_stream_longer_than_one_read_is_read_whole()
    {
        await using var journal = Open();
        var aborted = Samples.OneOfEach()[2];
        await Commit(journal, JournalHead.Empty, [Samples.Registered(Vm), .. Enumerable.Repeat(aborted, 2047)]);
        Assert.Equal(2048, (await Read(journal)).Count);
    }

    [Fact]
    public async Task A_cancelled_append_writes_nothing()
    {
        await using var journal = Open();
        var append = new JournalAppend(Vm, JournalHead.Empty, Samples.Registered(Vm));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => journal.AppendAsync(append, new CancellationToken(canceled: true)));
        Assert.Empty(await Read(journal));
    }

    [Theory]
    [InlineData("../etc")]
    [InlineData("")]
    [InlineData(".hidden")]
    public async Task A_name_that_is_none_is_not_let_in(string vm)
    {
        await using var journal = Open();
        await Assert.ThrowsAsync<ArgumentException>(() => journal.AppendAsync(new JournalAppend(vm, JournalHead.Empty, Samples.Registered(vm))));
    }

    private static async Task<JournalHead> Commit(IJournal journal, JournalHead expected, params MachineEvent[] events)
    {
        var outcome = await journal.AppendAsync(new JournalAppend(Vm, expected, events));
        return Assert.IsType<AppendOutcome.Committed>(outcome).Head;
    }

    private static async Task<List<StoredEvent>> Read(IJournal journal)
    {
        var stored = new List<StoredEvent>();
        await foreach (var one in EventStream.ReadAsync(journal, Vm, JournalHead.Empty))
            stored.Add(one);
        return stored;
    }
}
