namespace Checkpoint.Storage.Journal.InMemory;

/// <summary>What lasts as long as the process: several journals may be opened on it, as several connections on a database.</summary>
public sealed class InMemoryDatabase
{
    private readonly Dictionary<string, InMemoryStream> _streams = new(StringComparer.Ordinal);

    /// <summary>Held while anything in the database is read or written: it stands for the transaction.</summary>
    internal Lock Gate { get; } = new();

    /// <summary>The streams by the names of their machines.</summary>
    internal IReadOnlyDictionary<string, InMemoryStream> Streams => _streams;

    /// <summary>The machines whose lock somebody holds.</summary>
    internal HashSet<string> Held { get; } = new(StringComparer.Ordinal);

    /// <summary>A machine's stream, new where it has none.</summary>
    internal InMemoryStream Stream(string vm)
    {
        if (!_streams.TryGetValue(vm, out var stream))
            _streams[vm] = stream = new InMemoryStream();
        return stream;
    }
}

/// <summary>One machine's rows.</summary>
internal sealed class InMemoryStream
{
    public List<JournalRow> Rows { get; } = [];

    public SortedDictionary<long, ReadOnlyMemory<byte>> Documents { get; } = [];

    public DocumentAhead? Ahead { get; set; }

    public SortedDictionary<long, SnapshotRow> Snapshots { get; } = [];
}
