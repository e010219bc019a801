using System.Buffers;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Tests.Payloads;

public sealed class CodecTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Any_event_comes_back_as_it_was_written(int seed)
    {
        var samples = new Samples(seed);
        for (var i = 0; i < 300; i++)
        {
            var previous = Digest.Of([(byte)i]);
            var @event = samples.Event();
            var bytes = Samples.Encode(previous, @event);
            var entry = EventCodec.Decode(EventCodec.ManifestOf(@event), 5, bytes);
            Assert.Equal(Shape.Of(new JournalEntry(5, previous, @event)), Shape.Of(entry));
            Assert.Equal(bytes, Samples.Encode(previous, entry.Event));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Any_state_document_comes_back_as_it_was_written(int seed)
    {
        var samples = new Samples(seed);
        for (var i = 0; i < 30; i++)
        {
            var document = samples.RandomDocument();
            var bytes = StateDocumentCodec.Encode(document);
            var decoded = StateDocumentCodec.Decode(bytes);
            Assert.Equal(Shape.Of(document), Shape.Of(decoded));
            Assert.True(bytes.Span.SequenceEqual(StateDocumentCodec.Encode(decoded).Span));
        }
    }

    [Fact]
    public void A_history_comes_back_as_it_was_written()
    {
        var history = Samples.History();
        Assert.Equal(Shape.Of(history), Shape.Of(SnapshotCodec.Decode(SnapshotCodec.Manifest, Samples.Encode(history))));
    }

    [Fact]
    public void A_shorter_record_gives_defaults_for_the_keys_that_it_lacks()
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new PayloadWriter(output);
        writer.Array(3);
        writer.Binary(Digest.Zero.Bytes);
        writer.Timestamp(Samples.Noon);
        writer.Text("no room");
        var entry = EventCodec.Decode("checkpoint-aborted-v1", 1, output.WrittenMemory);
        Assert.Equal(new MachineEvent.CheckpointAborted("no room", null, null, null) { At = Samples.Noon }, entry.Event);
    }

    [Fact]
    public void Keys_that_a_later_version_added_are_passed_over()
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new PayloadWriter(output);
        writer.Array(5);
        writer.Binary(Digest.Zero.Bytes);
        writer.Timestamp(Samples.Noon);
        writer.Integer(12);
        writer.Array(2);
        writer.Text("new");
        writer.Array(0);
        output.Write<byte>([0x82, 1, 2, 3, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8]);
        var entry = EventCodec.Decode("checkpoint-pinned-v1", 1, output.WrittenMemory);
        Assert.Equal(new MachineEvent.CheckpointPinned(12) { At = Samples.Noon }, entry.Event);
    }

    [Fact]
    public void An_unknown_manifest_is_told_of_by_its_name()
    {
        var exception = Assert.Throws<PayloadException>(() => EventCodec.Decode("checkpoint-committed-v2", 1, new byte[] { 0x90 }));
        Assert.Contains("checkpoint-committed-v2", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_newer_state_document_is_refused() =>
        Assert.Throws<PayloadException>(() => StateDocumentCodec.Decode(new byte[] { 0x91, 2 }));

    [Fact]
    public void State_items_out_of_order_are_refused()
    {
        var bytes = StateDocumentCodec.Encode(Samples.Document()).ToArray();
        var regs = Samples.Document().Vcpus[0][1].Id;
        var id = new byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(id, regs);
        var at = bytes.AsSpan().IndexOf((byte[])[0xcf, .. id]);
        bytes.AsSpan(at + 1, 8).Clear();
        Assert.Contains("out of order", Assert.Throws<PayloadException>(() => StateDocumentCodec.Decode(bytes)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_label_with_half_a_surrogate_does_not_fail_the_append()
    {
        var committed = Samples.Committed(1) with { Label = "a\ud800b" };
        var entry = EventCodec.Decode("checkpoint-committed-v1", 1, Samples.Encode(Digest.Zero, committed));
        Assert.Equal("a\ufffdb", ((MachineEvent.CheckpointCommitted)entry.Event).Label);
    }

    [Theory]
    [InlineData(0, "00")]
    [InlineData(127, "7F")]
    [InlineData(128, "CC80")]
    [InlineData(65535, "CDFFFF")]
    [InlineData(65536, "CE00010000")]
    [InlineData(1L << 32, "CF0000000100000000")]
    [InlineData(-1, "FF")]
    [InlineData(-32, "E0")]
    [InlineData(-33, "D0DF")]
    [InlineData(-129, "D1FF7F")]
    [InlineData(-32769, "D2FFFF7FFF")]
    [InlineData(long.MinValue, "D38000000000000000")]
    public void Integers_take_their_smallest_form(long value, string hex)
    {
        var output = new ArrayBufferWriter<byte>();
        new PayloadWriter(output).Integer(value);
        Assert.Equal(hex, Convert.ToHexString(output.WrittenSpan));
        Assert.Equal(value, new PayloadReader(output.WrittenMemory).Integer());
    }

    [Theory]
    [InlineData("1970-01-01T00:00:01Z", "D6FF00000001")]
    [InlineData("1970-01-01T00:00:01.0000001Z", "D7FF0000019000000001")]
    [InlineData("1969-12-31T23:59:59.5Z", "C70CFF1DCD6500FFFFFFFFFFFFFFFF")]
    public void Times_take_the_smallest_of_the_three_forms(string text, string hex)
    {
        var time = DateTimeOffset.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
        var output = new ArrayBufferWriter<byte>();
        new PayloadWriter(output).Timestamp(time);
        Assert.Equal(time, new PayloadReader(output.WrittenMemory).Timestamp());
        Assert.Equal(hex, Convert.ToHexString(output.WrittenSpan));
    }
}
