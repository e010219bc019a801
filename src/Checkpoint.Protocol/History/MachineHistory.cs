using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.History;

/// <summary>
/// What a machine's stream says when it is read from its beginning: which checkpoints exist, which are pinned, which number
/// comes next. Folding the same events always gives the same history.
/// </summary>
/// <param name="Head">The last event folded in.</param>
/// <param name="Registration">The stream's first event; null for a stream without events.</param>
/// <param name="HighestNumber">The highest checkpoint number ever committed; 0 before the first. Numbers are never reused.</param>
/// <param name="Current">The checkpoint that the machine's memory and registers continue from; null before the first.</param>
/// <param name="Live">The checkpoints that exist, by number.</param>
/// <param name="Pinned">The numbers that retention must keep.</param>
public sealed record MachineHistory(
    JournalHead Head,
    MachineEvent.MachineRegistered? Registration,
    long HighestNumber,
    long? Current,
    ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted> Live,
    ImmutableSortedSet<long> Pinned)
{
    /// <summary>A stream without events.</summary>
    public static MachineHistory Empty { get; } = new(
        JournalHead.Empty,
        null,
        0,
        null,
        ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted>.Empty,
        []);

    /// <summary>The history after one more event.</summary>
    /// <param name="event">What happened.</param>
    /// <param name="head">Where the event stands in the stream, with the digest of its stored bytes.</param>
    /// <exception cref="InvalidHistoryException">The event cannot follow this history.</exception>
    public MachineHistory Evolve(MachineEvent @event, JournalHead head)
    {
        if (head.SequenceNumber != Head.SequenceNumber + 1)
            throw new InvalidHistoryException($"event {head.SequenceNumber} does not follow event {Head.SequenceNumber}");
        if (Registration is null != @event is MachineEvent.MachineRegistered)
            throw new InvalidHistoryException($"event {head.SequenceNumber} ({@event.GetType().Name}): a stream begins with its only registration");

        var next = @event switch
        {
            MachineEvent.MachineRegistered registered => this with { Registration = registered },
            MachineEvent.CheckpointCommitted committed => Add(committed, head),
            MachineEvent.CheckpointAborted => this,
            MachineEvent.CheckpointPinned pinned => this with { Pinned = Pinned.Add(Existing(pinned.Number, head)) },
            MachineEvent.CheckpointUnpinned unpinned => this with { Pinned = Pinned.Remove(Existing(unpinned.Number, head)) },
            MachineEvent.CheckpointPruned pruned => Remove(pruned, head),
            MachineEvent.MachineRestored restored => restored.Continues
                ? this with { Current = restored.FromVm == Registration!.Vm ? Existing(restored.FromNumber, head) : null }
                : this,
            _ => throw new UnreachableException($"Unknown event {@event.GetType().Name}."),
        };
        return next with { Head = head };
    }

    private MachineHistory Add(MachineEvent.CheckpointCommitted committed, JournalHead head)
    {
        if (committed.Number != HighestNumber + 1)
            throw new InvalidHistoryException($"event {head.SequenceNumber}: checkpoint {committed.Number} does not follow {HighestNumber}");
        if (committed.Mode == CheckpointMode.Incremental && (committed.Parent is not { } parent || !Live.ContainsKey(parent)))
            throw new InvalidHistoryException($"event {head.SequenceNumber}: checkpoint {committed.Number} builds on {committed.Parent}, which does not exist");
        return this with
        {
            HighestNumber = committed.Number,
            Current = committed.Number,
            Live = Live.Add(committed.Number, committed),
        };
    }

    private MachineHistory Remove(MachineEvent.CheckpointPruned pruned, JournalHead head)
    {
        foreach (var number in pruned.Numbers)
        {
            if (Pinned.Contains(Existing(number, head)))
                throw new InvalidHistoryException($"event {head.SequenceNumber}: checkpoint {number} is pruned while it is pinned");
        }

        var live = Live.RemoveRange(pruned.Numbers);
        foreach (var increment in live.Values)
        {
            if (increment is { Mode: CheckpointMode.Incremental, Parent: { } parent } && !live.ContainsKey(parent))
                throw new InvalidHistoryException($"event {head.SequenceNumber}: checkpoint {parent} is pruned while {increment.Number} builds on it");
        }

        // What the machine goes on from may be gone; then its next checkpoint has no parent.
        return this with { Live = live, Current = Current is { } current && live.ContainsKey(current) ? current : null };
    }

    private long Existing(long number, JournalHead head) =>
        Live.ContainsKey(number)
            ? number
            : throw new InvalidHistoryException($"event {head.SequenceNumber}: checkpoint {number} does not exist");
}
