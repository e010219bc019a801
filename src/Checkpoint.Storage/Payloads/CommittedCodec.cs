using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Payloads;

/// <summary>The members of a committed checkpoint: in its event they follow the event's first two keys, in a snapshot the time.</summary>
internal static class CommittedCodec
{
    public const int Members = 13;

    public static void Write(PayloadWriter writer, MachineEvent.CheckpointCommitted committed)
    {
        writer.Integer(committed.Number);
        EventParts.Write(writer, committed.Id);
        writer.Integer(committed.Parent);
        writer.Integer((int)committed.Mode);
        writer.Integer((int)committed.Trigger);
        writer.Text(committed.Label);
        writer.Integer(committed.GuestClockNs);
        writer.Array(2);
        writer.Binary(committed.State.Digest.Bytes);
        writer.Integer(committed.State.SizeBytes);
        if (committed.Segment is { } segment)
        {
            writer.Array(3);
            writer.Text(segment.Name);
            writer.Binary(segment.IndexDigest.Bytes);
            writer.Integer(segment.SizeBytes);
        }
        else
        {
            writer.Nil();
        }

        writer.Integer(committed.MemoryBytes);
        writer.Integer(committed.DirtyPages);
        writer.Array(4);
        writer.Integer(committed.Timings.PauseUs);
        writer.Integer(committed.Timings.ParkUs);
        writer.Integer(committed.Timings.CaptureUs);
        writer.Integer(committed.Timings.StoreUs);
        writer.Text(committed.Batching);
    }

    public static MachineEvent.CheckpointCommitted Read(ref PayloadReader reader, ref RecordReader record, DateTimeOffset at) => new(
        record.Integer(),
        record.OptionalId() ?? default,
        record.OptionalInteger(),
        (CheckpointMode)record.OneOf((int)CheckpointMode.Full, (int)CheckpointMode.Incremental, "mode"),
        (CheckpointTrigger)record.OneOf((int)CheckpointTrigger.Request, (int)CheckpointTrigger.Schedule, "trigger"),
        record.OptionalText(),
        record.OptionalInteger(),
        record.Next() ? ReadState(ref reader) : default,
        record.Next() ? ReadSegment(ref reader) : null,
        record.Integer(),
        record.Integer(),
        record.Next() ? ReadTimings(ref reader) : default,
        record.Text()) { At = at };

    private static StoredPart ReadState(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "state");
        var part = new StoredPart(record.Digest(), record.Integer());
        record.End();
        return part;
    }

    private static SegmentPart ReadSegment(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "segment");
        var part = new SegmentPart(record.Text(), record.Digest(), record.Integer());
        record.End();
        return part;
    }

    private static CheckpointTimings ReadTimings(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "timings");
        var timings = new CheckpointTimings(record.Integer(), record.Integer(), record.Integer(), record.Integer());
        record.End();
        return timings;
    }
}
