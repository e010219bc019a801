using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// An event as the journal holds it: with the digest of the one before it, and its own bytes, which the digest of the next one
/// covers. They are made once; the serializer only hands them on.
/// </summary>
public sealed class ChainedEvent
{
    private readonly ReadOnlyMemory<byte> _bytes;

    private ChainedEvent(Digest previous, MachineEvent @event, ReadOnlyMemory<byte> bytes)
    {
        Previous = previous;
        Event = @event;
        _bytes = bytes;
        Digest = Digest.Of(bytes.Span);
    }

    /// <summary>SHA-256 of the bytes of the event before it.</summary>
    public Digest Previous { get; }

    /// <summary>What happened.</summary>
    public MachineEvent Event { get; }

    /// <summary>SHA-256 of its own bytes.</summary>
    public Digest Digest { get; }

    internal string Manifest => EventCodec.ManifestOf(Event);

    /// <summary>The events that follow a head, each chained to the one before it.</summary>
    internal static ImmutableArray<ChainedEvent> Chain(JournalHead head, IReadOnlyList<MachineEvent> events)
    {
        var chained = ImmutableArray.CreateBuilder<ChainedEvent>(events.Count);
        var previous = head.Digest;
        foreach (var @event in events)
        {
            var bytes = new ArrayBufferWriter<byte>(512);
            EventCodec.Encode(previous, @event, bytes);
            chained.Add(new ChainedEvent(previous, @event, bytes.WrittenMemory));
            previous = chained[^1].Digest;
        }

        return chained.MoveToImmutable();
    }

    /// <summary>Reads an event back.</summary>
    /// <exception cref="PayloadException">The bytes are damaged, or the manifest is unknown.</exception>
    internal static ChainedEvent Decode(string manifest, byte[] bytes)
    {
        // Its place in the stream stands beside the bytes, and is the journal's to know.
        var entry = EventCodec.Decode(manifest, 0, bytes);
        return new ChainedEvent(entry.Previous, entry.Event, bytes);
    }

    internal byte[] ToBytes() => _bytes.ToArray();
}
