using System.Buffers;
using Akka.Actor;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

public sealed class CheckpointSerializerTests : ActorSystemTests
{
    private CheckpointSerializer Serializer => new((ExtendedActorSystem)Sys);

    [Fact]
    public void Every_event_has_the_identifier_the_manifest_and_the_bytes_that_the_built_in_host_writes()
    {
        Assert.Equal(EventCodec.SerializerId, Serializer.Identifier);
        var head = JournalHead.Empty;
        foreach (var (chained, @event) in ChainedEvent.Chain(head, Samples.All).Zip(Samples.All))
        {
            var expected = new ArrayBufferWriter<byte>();
            EventCodec.Encode(head.Digest, @event, expected);
            var bytes = Serializer.ToBinary(chained);
            Assert.Equal(expected.WrittenSpan.ToArray(), bytes);
            Assert.Equal(EventCodec.ManifestOf(@event), Serializer.Manifest(chained));

            var read = Assert.IsType<ChainedEvent>(Serializer.FromBinary(bytes, Serializer.Manifest(chained)));
            Assert.Equal((head.Digest, chained.Digest), (read.Previous, read.Digest));
            Assert.Equal(bytes, Serializer.ToBinary(read));
            head = new JournalHead(head.SequenceNumber + 1, Digest.Of(bytes));
        }
    }

    [Fact]
    public void The_actor_system_uses_it_for_events_and_snapshots_without_any_setting_of_the_users()
    {
        Assert.NotNull(Extension);
        Assert.IsType<CheckpointSerializer>(Sys.Serialization.FindSerializerForType(typeof(ChainedEvent)));
        Assert.IsType<CheckpointSerializer>(Sys.Serialization.FindSerializerForType(typeof(HistorySnapshot)));
        var chained = ChainedEvent.Chain(JournalHead.Empty, Samples.All)[0];
        var read = Sys.Serialization.Deserialize(Serializer.ToBinary(chained), EventCodec.SerializerId, Serializer.Manifest(chained));
        Assert.Equal(chained.Event, Assert.IsType<ChainedEvent>(read).Event);
    }

    [Fact]
    public void An_event_whose_bytes_are_damaged_or_whose_kind_is_unknown_is_an_error()
    {
        var chained = ChainedEvent.Chain(JournalHead.Empty, Samples.All)[0];
        var bytes = Serializer.ToBinary(chained);
        Assert.Throws<PayloadException>(() => Serializer.FromBinary(bytes[..^1], Serializer.Manifest(chained)));
        Assert.Throws<PayloadException>(() => Serializer.FromBinary(bytes, "machine-registered-v9"));
    }

    [Fact]
    public void A_snapshot_comes_back_and_a_damaged_one_says_that_it_cannot_be_read()
    {
        var history = MachineHistory.Empty;
        foreach (var chained in ChainedEvent.Chain(JournalHead.Empty, Samples.All.Take(3).ToList()))
            history = history.Evolve(chained.Event, new JournalHead(history.Head.SequenceNumber + 1, chained.Digest));
        var bytes = Serializer.ToBinary(HistorySnapshot.Of(history));
        Assert.Equal(SnapshotCodec.Manifest, Serializer.Manifest(HistorySnapshot.Of(history)));
        var read = Assert.IsType<HistorySnapshot>(Serializer.FromBinary(bytes, SnapshotCodec.Manifest)).History!;
        Assert.Equal((history.Head, history.HighestNumber), (read.Head, read.HighestNumber));
        Assert.Equal(history.Live, read.Live);

        bytes[^1] ^= 1;
        Assert.Null(Assert.IsType<HistorySnapshot>(Serializer.FromBinary(bytes, SnapshotCodec.Manifest)).History);
        Assert.Null(Assert.IsType<HistorySnapshot>(Serializer.FromBinary(bytes, "machine-history-v1")).History);
    }
}
