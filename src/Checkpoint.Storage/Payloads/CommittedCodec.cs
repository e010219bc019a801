using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Payloads;

/// <summary>The members of a committed checkpoint: in its event they follow the event's first two keys, in a snapshot the time.</summary>
internal static class CommittedCodec
{
    private const int MembersWithoutTaking = 13;

    /// <summary>How many members this one has: what is not known at the end is left out.</summary>
    public static int MembersOf(MachineEvent.CheckpointCommitted committed) => MembersWithoutTaking + (committed.Taking is null ? 0 : 1);

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
        if (committed.Taking is { } taking)
        {
            writer.Array(taking.MaxPauseUs is null ? 5 : 6);
            writer.Integer((int)taking.Way);
            writer.Integer(taking.Rounds);
            writer.Integer(taking.PagesLeft);
            writer.Integer(taking.PrepareUs);
            writer.Integer(taking.CaptureUs);
            if (taking.MaxPauseUs is { } most)
                writer.Integer(most);
        }
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
        record.Text()) { At = at, Taking = record.Next() ? ReadTaking(ref reader) : null };

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

    private static MemoryTaking ReadTaking(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "taking");
        var taking = new MemoryTaking(
            (MemoryWay)record.OneOf((int)MemoryWay.Paused, (int)MemoryWay.Protected, "way"), record.Int32(), record.Integer(), record.Integer(), record.Integer())
        { MaxPauseUs = record.OptionalInteger() };
        record.End();
        return taking;
    }

    private static CheckpointTimings ReadTimings(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "timings");
        var timings = new CheckpointTimings(record.Integer(), record.Integer(), record.Integer(), record.Integer());
        record.End();
        return timings;
    }
}
