using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;

namespace Checkpoint.Protocol.Tests;

/// <summary>Streams for tests: events with few words, and the fold of them.</summary>
internal static class Streams
{
    public static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public static MachineEvent.MachineRegistered Registered(string vm = "web") =>
        new(vm, MachineArchitecture.X64, 2, 8 << 20, null) { At = Noon };

    public static MachineEvent.CheckpointCommitted Full(long number, long? parent = null, SegmentPart? segment = null) =>
        Committed(number, CheckpointMode.Full, parent, segment);

    public static MachineEvent.CheckpointCommitted Increment(long number, long? parent) =>
        Committed(number, CheckpointMode.Incremental, parent, null);

    public static MachineEvent.CheckpointPinned Pinned(long number) => new(number) { At = Noon };

    public static MachineEvent.CheckpointUnpinned Unpinned(long number) => new(number) { At = Noon };

    public static MachineEvent.CheckpointPruned Pruned(params ImmutableArray<long> numbers) => new(numbers) { At = Noon };

    public static MachineEvent.CheckpointAborted Aborted(string reason) => new(reason, null, null, null) { At = Noon };

    public static MachineEvent.MachineRestored Restored(string vm, long number, bool continues) =>
        new(vm, number, new CheckpointId((UInt128)number), "strict", [], Guid.Empty, continues) { At = Noon };

    public static SegmentPart Segment(string name) => new(name, Digest.Zero, 4096);

    /// <summary>Where the event with this number stands; every number has a digest of its own.</summary>
    public static JournalHead HeadAt(long sequenceNumber) =>
        new(sequenceNumber, Digest.Of(BitConverter.GetBytes(sequenceNumber)));

    /// <summary>A registered machine to which this happened.</summary>
    public static MachineHistory Of(params ReadOnlySpan<MachineEvent> events) =>
        MachineHistory.Empty.Evolve(Registered(), HeadAt(1)).After(events);

    /// <summary>The history after these events.</summary>
    public static MachineHistory After(this MachineHistory history, params ReadOnlySpan<MachineEvent> events)
    {
        foreach (var @event in events)
            history = history.Evolve(@event, HeadAt(history.Head.SequenceNumber + 1));
        return history;
    }

    /// <summary>A stream of the same length whose last event somebody else has written.</summary>
    public static MachineHistory ByAnotherHand(this MachineHistory history) =>
        history with { Head = history.Head with { Digest = Digest.Of("another hand"u8) } };

    /// <summary>Whether both say the same, wherever they end.</summary>
    public static bool SayTheSame(MachineHistory left, MachineHistory right) =>
        left.Registration == right.Registration
        && left.HighestNumber == right.HighestNumber
        && left.Current == right.Current
        && left.Live.SequenceEqual(right.Live)
        && left.Pinned.SequenceEqual(right.Pinned);

    private static MachineEvent.CheckpointCommitted Committed(long number, CheckpointMode mode, long? parent, SegmentPart? segment) => new(
        number,
        new CheckpointId((UInt128)number),
        parent,
        mode,
        CheckpointTrigger.Request,
        null,
        null,
        new StoredPart(Digest.Zero, 100),
        segment,
        0,
        0,
        default,
        "msrs")
    { At = Noon };
}
