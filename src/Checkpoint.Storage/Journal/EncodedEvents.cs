using System.Buffers;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Journal;

/// <summary>The events of one append as bytes, each holding the digest of the one before it. Reused from append to append.</summary>
internal sealed class EncodedEvents
{
    private readonly ArrayBufferWriter<byte> _bytes = new(1024);
    private readonly List<(string Manifest, int Start, int End)> _rows = [];

    /// <summary>How many events there are.</summary>
    public int Count => _rows.Count;

    /// <summary>The end of the stream once they are written.</summary>
    public JournalHead Head { get; private set; }

    /// <summary>Encodes the events that follow a head.</summary>
    public void Encode(JournalHead expected, IReadOnlyList<MachineEvent> events)
    {
        _bytes.ResetWrittenCount();
        _rows.Clear();
        Head = expected;
        foreach (var @event in events)
        {
            var start = _bytes.WrittenCount;
            EventCodec.Encode(Head.Digest, @event, _bytes);
            _rows.Add((EventCodec.ManifestOf(@event), start, _bytes.WrittenCount));
            Head = new JournalHead(Head.SequenceNumber + 1, Digest.Of(_bytes.WrittenSpan[start..]));
        }
    }

    /// <summary>The manifest of one event.</summary>
    public string Manifest(int index) => _rows[index].Manifest;

    /// <summary>The bytes of one event, until the next encoding.</summary>
    public ReadOnlySpan<byte> Message(int index) => _bytes.WrittenSpan[_rows[index].Start.._rows[index].End];
}
