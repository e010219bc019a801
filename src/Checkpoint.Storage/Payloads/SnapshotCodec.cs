using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// The folded state of a stream to bytes and back, so that a recovery reads the newest events only. The payload is the SHA-256 of
/// its content and the content: unlike an event, a snapshot has no successor that would hold its digest.
/// </summary>
public static class SnapshotCodec
{
    /// <summary>The manifest under which snapshots are stored.</summary>
    public const string Manifest = "machine-history-v2";

    /// <summary>The manifest of snapshots without a checksum. They are passed over, which costs time alone.</summary>
    internal const string ManifestWithoutChecksum = "machine-history-v1";

    /// <summary>Writes the history's bytes.</summary>
    /// <exception cref="ArgumentException">The history is of a stream without events.</exception>
    public static void Encode(MachineHistory history, IBufferWriter<byte> output)
    {
        if (history.Registration is not { } registration)
            throw new ArgumentException("A stream without events has no snapshot.", nameof(history));
        var content = new ArrayBufferWriter<byte>(4096);
        WriteContent(new PayloadWriter(content), history, registration);
        var writer = new PayloadWriter(output);
        writer.Array(2);
        writer.Binary(Digest.Of(content.WrittenSpan).Bytes);
        writer.Binary(content.WrittenSpan);
    }

    /// <summary>Reads a history back.</summary>
    /// <param name="manifest">The manifest that stood beside the bytes.</param>
    /// <param name="payload">The stored bytes.</param>
    /// <exception cref="PayloadException">The bytes are damaged, or the manifest is unknown.</exception>
    public static MachineHistory Decode(string? manifest, ReadOnlyMemory<byte> payload)
    {
        if (manifest != Manifest)
            throw new PayloadException($"'{manifest}' is no snapshot that is known; a newer version may have written it");
        var reader = new PayloadReader(payload);
        var record = new RecordReader(ref reader, Manifest);
        var digest = record.Digest();
        var content = record.Binary();
        record.End();
        reader.End();
        return Digest.Of(content.Span) == digest
            ? ReadContent(content)
            : throw new PayloadException("it does not have the checksum that it says");
    }

    private static void WriteContent(PayloadWriter writer, MachineHistory history, MachineEvent.MachineRegistered registration)
    {
        writer.Array(12);
        writer.Integer(history.Head.SequenceNumber);
        writer.Binary(history.Head.Digest.Bytes);
        writer.Timestamp(registration.At);
        writer.Text(registration.Vm);
        writer.Integer((int)registration.Architecture);
        writer.Integer(registration.Vcpus);
        writer.Integer(registration.MemoryBytes);
        EventParts.Write(writer, registration.Origin);
        writer.Integer(history.HighestNumber);
        writer.Integer(history.Current);
        writer.Array(history.Live.Count);
        foreach (var committed in history.Live.Values)
        {
            writer.Array(CommittedCodec.MembersOf(committed) + 1);
            writer.Timestamp(committed.At);
            CommittedCodec.Write(writer, committed);
        }

        EventParts.Write(writer, history.Pinned);
    }

    private static MachineHistory ReadContent(ReadOnlyMemory<byte> content)
    {
        var reader = new PayloadReader(content);
        var record = new RecordReader(ref reader, Manifest);
        var sequenceNumber = record.Integer();
        var head = new JournalHead(sequenceNumber, record.Digest());
        var at = record.Timestamp();
        var registration = new MachineEvent.MachineRegistered(
            record.Text(),
            EventParts.ReadArchitecture(ref record),
            record.Int32(),
            record.Integer(),
            record.OptionalId()) { At = at };
        var highest = record.Integer();
        var current = record.OptionalInteger();
        var live = record.Next() ? ReadLive(ref reader) : ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted>.Empty;
        var pinned = EventParts.ReadNumbers(ref reader, ref record).ToImmutableSortedSet();
        record.End();
        reader.End();
        return new MachineHistory(head, registration, highest, current, live, pinned);
    }

    private static ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted> ReadLive(ref PayloadReader reader)
    {
        var live = ImmutableSortedDictionary.CreateBuilder<long, MachineEvent.CheckpointCommitted>();
        for (var count = reader.Array(); count > 0; count--)
        {
            var record = new RecordReader(ref reader, "checkpoint");
            var committed = CommittedCodec.Read(ref reader, ref record, record.Timestamp());
            record.End();
            if (!live.TryAdd(committed.Number, committed))
                throw new PayloadException($"checkpoint {committed.Number} appears twice");
        }

        return live.ToImmutable();
    }
}
