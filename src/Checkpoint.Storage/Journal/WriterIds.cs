namespace Checkpoint.Storage.Journal;

/// <summary>
/// Which writer_uuid stands in the rows of each stream. Readers of the tables drop rows of an earlier writer that come after
/// rows of a newer one. So an id is used only while its stream holds nothing after the row that it last stood in: where somebody
/// else wrote in between, or might have, the stream gets a new id.
/// </summary>
internal sealed class WriterIds
{
    private readonly Dictionary<string, (long Last, string Id)> _streams = [];

    /// <summary>The id for rows that follow a sequence number.</summary>
    public string For(string stream, long expected) =>
        _streams.TryGetValue(stream, out var writer) && writer.Last == expected ? writer.Id : Guid.NewGuid().ToString("N");

    /// <summary>The rows up to a sequence number are written.</summary>
    public void Wrote(string stream, long last, string id) => _streams[stream] = (last, id);
}
