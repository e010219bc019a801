using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// Events to bytes and back. Every payload is a record: key 0 is the digest of the stored bytes of the event before it, key 1
/// is the time, and the event's own members follow in the order of their declaration. Keys are never reused; the kind and the
/// version of the contract stand in the manifest beside the bytes.
/// </summary>
public static class EventCodec
{
    /// <summary>The serializer's id in the journal's and the snapshots' rows.</summary>
    public const int SerializerId = 8710;

    private const string Registered = "machine-registered-v1";
    private const string Committed = "checkpoint-committed-v1";
    private const string Aborted = "checkpoint-aborted-v1";
    private const string Pinned = "checkpoint-pinned-v1";
    private const string Unpinned = "checkpoint-unpinned-v1";
    private const string Pruned = "checkpoint-pruned-v1";
    private const string Restored = "machine-restored-v1";

    /// <summary>The manifest under which the event is stored: its kind and the version of its contract.</summary>
    public static string ManifestOf(MachineEvent @event) => @event switch
    {
        MachineEvent.MachineRegistered => Registered,
        MachineEvent.CheckpointCommitted => Committed,
        MachineEvent.CheckpointAborted => Aborted,
        MachineEvent.CheckpointPinned => Pinned,
        MachineEvent.CheckpointUnpinned => Unpinned,
        MachineEvent.CheckpointPruned => Pruned,
        MachineEvent.MachineRestored => Restored,
        _ => throw new UnreachableException($"Unknown event {@event.GetType().Name}."),
    };

    /// <summary>Writes the event's bytes.</summary>
    /// <param name="previous">The digest of the bytes of the event before it; <see cref="Digest.Zero"/> for the first.</param>
    /// <param name="event">What happened.</param>
    /// <param name="output">Takes the bytes.</param>
    public static void Encode(Digest previous, MachineEvent @event, IBufferWriter<byte> output)
    {
        var writer = new PayloadWriter(output);
        switch (@event)
        {
            case MachineEvent.MachineRegistered registered:
                Begin(writer, 7, previous, @event);
                writer.Text(registered.Vm);
                writer.Integer((int)registered.Architecture);
                writer.Integer(registered.Vcpus);
                writer.Integer(registered.MemoryBytes);
                EventParts.Write(writer, registered.Origin);
                break;
            case MachineEvent.CheckpointCommitted committed:
                Begin(writer, CommittedCodec.MembersOf(committed) + 2, previous, @event);
                CommittedCodec.Write(writer, committed);
                break;
            case MachineEvent.CheckpointAborted aborted:
                Begin(writer, 6, previous, @event);
                writer.Text(aborted.Reason);
                writer.Text(aborted.Participant);
                writer.Unsigned(aborted.Register);
                writer.Integer(aborted.Errno);
                break;
            case MachineEvent.CheckpointPinned pinned:
                Begin(writer, 3, previous, @event);
                writer.Integer(pinned.Number);
                break;
            case MachineEvent.CheckpointUnpinned unpinned:
                Begin(writer, 3, previous, @event);
                writer.Integer(unpinned.Number);
                break;
            case MachineEvent.CheckpointPruned pruned:
                Begin(writer, 3, previous, @event);
                EventParts.Write(writer, pruned.Numbers);
                break;
            case MachineEvent.MachineRestored restored:
                Begin(writer, 9, previous, @event);
                WriteRestored(writer, restored);
                break;
            default:
                throw new UnreachableException($"Unknown event {@event.GetType().Name}.");
        }
    }

    /// <summary>Reads an event back from its stored bytes.</summary>
    /// <param name="manifest">The manifest that stood beside them.</param>
    /// <param name="sequenceNumber">The event's place in its stream.</param>
    /// <param name="payload">The stored bytes.</param>
    /// <exception cref="PayloadException">The bytes are damaged, or the manifest is unknown.</exception>
    public static JournalEntry Decode(string? manifest, long sequenceNumber, ReadOnlyMemory<byte> payload)
    {
        if (manifest is not (Registered or Committed or Aborted or Pinned or Unpinned or Pruned or Restored))
            throw new PayloadException($"'{manifest}' is no kind of event that is known; a newer version may have written it");
        var reader = new PayloadReader(payload);
        var record = new RecordReader(ref reader, manifest);
        var previous = record.Digest();
        var at = record.Timestamp();
        MachineEvent @event = manifest switch
        {
            Registered => new MachineEvent.MachineRegistered(
                record.Text(),
                EventParts.ReadArchitecture(ref record),
                record.Int32(),
                record.Integer(),
                record.OptionalId()) { At = at },
            Committed => CommittedCodec.Read(ref reader, ref record, at),
            Aborted => new MachineEvent.CheckpointAborted(
                record.Text(),
                record.OptionalText(),
                record.OptionalUnsigned(),
                record.OptionalInt32()) { At = at },
            Pinned => new MachineEvent.CheckpointPinned(record.Integer()) { At = at },
            Unpinned => new MachineEvent.CheckpointUnpinned(record.Integer()) { At = at },
            Pruned => new MachineEvent.CheckpointPruned(EventParts.ReadNumbers(ref reader, ref record)) { At = at },
            Restored => ReadRestored(ref reader, ref record, at),
            _ => throw new UnreachableException($"Unknown manifest {manifest}."),
        };
        record.End();
        reader.End();
        return new JournalEntry(sequenceNumber, previous, @event);
    }

    private static void Begin(PayloadWriter writer, int keys, Digest previous, MachineEvent @event)
    {
        writer.Array(keys);
        writer.Binary(previous.Bytes);
        writer.Timestamp(@event.At);
    }

    private static void WriteRestored(PayloadWriter writer, MachineEvent.MachineRestored restored)
    {
        writer.Text(restored.FromVm);
        writer.Integer(restored.FromNumber);
        EventParts.Write(writer, restored.FromId);
        writer.Text(restored.Policy);
        var leniences = restored.Leniences.IsDefault ? [] : restored.Leniences;
        writer.Array(leniences.Length);
        foreach (var name in leniences)
            writer.Text(name);
        Span<byte> generation = stackalloc byte[16];
        restored.GenerationId.TryWriteBytes(generation, bigEndian: true, out _);
        writer.Binary(generation);
        writer.Boolean(restored.Continues);
    }

    private static MachineEvent.MachineRestored ReadRestored(ref PayloadReader reader, ref RecordReader record, DateTimeOffset at)
    {
        var fromVm = record.Text();
        var fromNumber = record.Integer();
        var fromId = record.OptionalId() ?? default;
        var policy = record.Text();
        var leniences = ImmutableArray.CreateBuilder<string>();
        if (record.Next())
        {
            for (var count = reader.Array(); count > 0; count--)
                leniences.Add(reader.Text());
        }

        return new MachineEvent.MachineRestored(fromVm, fromNumber, fromId, policy, leniences.ToImmutable(), record.Guid(), record.Boolean())
        {
            At = at,
        };
    }
}
