using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// Reads the keys of one record in their order. A key that the array is too short for, or that is nil, gives the default; keys
/// that this program does not know are passed over at the end. This is how versions live together.
/// </summary>
internal ref struct RecordReader
{
    private readonly ref PayloadReader _reader;
    private readonly string _name;
    private int _left;

    public RecordReader(ref PayloadReader reader, string name)
    {
        _reader = ref reader;
        _name = name;
        _left = reader.Array();
    }

    /// <summary>Whether the next key has a value. If so the caller reads it off the payload.</summary>
    public bool Next() => _left > 0 && _left-- > 0 && !_reader.TryNil();

    public long Integer() => Next() ? _reader.Integer() : 0;

    public long? OptionalInteger() => Next() ? _reader.Integer() : null;

    public int Int32() => Next() ? _reader.Int32() : 0;

    public int? OptionalInt32() => Next() ? _reader.Int32() : null;

    public ulong Unsigned() => Next() ? _reader.Unsigned() : 0;

    public ulong? OptionalUnsigned() => Next() ? _reader.Unsigned() : null;

    public uint Unsigned32() => Next() ? _reader.Unsigned32() : 0;

    public bool Boolean() => Next() && _reader.Boolean();

    public string Text() => OptionalText() ?? "";

    public string? OptionalText() => Next() ? _reader.Text() : null;

    public ReadOnlyMemory<byte> Binary() => Next() ? _reader.Binary() : default;

    public DateTimeOffset Timestamp() => Next() ? _reader.Timestamp() : DateTimeOffset.UnixEpoch;

    public Digest Digest() => Next() ? Protocol.Events.Digest.From(_reader.Binary(Protocol.Events.Digest.SizeBytes)) : Protocol.Events.Digest.Zero;

    public CheckpointId? OptionalId() =>
        Next() ? new CheckpointId(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(_reader.Binary(16))) : null;

    public Guid Guid() => Next() ? new Guid(_reader.Binary(16), bigEndian: true) : System.Guid.Empty;

    /// <summary>An enumeration's number: one that this program does not know has no safe default.</summary>
    public int OneOf(int lowest, int highest, string what)
    {
        var value = Integer();
        return value >= lowest && value <= highest ? (int)value : throw new PayloadException($"{_name}: {value} is no {what} that is known");
    }

    /// <summary>Passes over the keys that this program does not know.</summary>
    public void End()
    {
        for (; _left > 0; _left--)
            _reader.Skip();
    }
}
