using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Journal.InMemory;

namespace Checkpoint.Storage.Tests.Journal;

public sealed class InMemoryJournalTests : JournalContract
{
    private readonly InMemoryDatabase _database = new();

    protected override IJournal Open() => new InMemoryJournal(_database);

    protected override void DeleteRow(string vm, long sequenceNumber) =>
        _database.Stream(vm).Rows.RemoveAll(row => row.SequenceNumber == sequenceNumber);

    protected override void EditRow(string vm, long sequenceNumber, byte[] message)
    {
        var rows = _database.Stream(vm).Rows;
        var at = rows.FindIndex(row => row.SequenceNumber == sequenceNumber);
        rows[at] = rows[at] with { Message = message };
    }
}
