using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Disk;

/// <summary>One machine's stream in the journal: what everybody sees, and how much of it a power failure leaves.</summary>
internal sealed class SimulatedStream
{
    private State _visible = State.Empty;
    private State _durable = State.Empty;
    private bool _losesNextSync;

    public IReadOnlyList<JournalRow> Rows => _visible.Rows;

    public ImmutableSortedDictionary<long, ReadOnlyMemory<byte>> Documents => _visible.Documents;

    public ImmutableSortedDictionary<long, SnapshotRow> Snapshots => _visible.Snapshots;

    public JournalHead Head => _visible.Head;

    /// <summary>Whether everything that is seen would survive a power failure.</summary>
    public bool IsDurable => ReferenceEquals(_visible, _durable);

    /// <summary>The sync of the next transaction fails.</summary>
    public void LoseNextSync() => _losesNextSync = true;

    /// <summary>Whether the sync of the transaction that comes now fails; asked once.</summary>
    public bool TakeLostSync()
    {
        var isLost = _losesNextSync;
        _losesNextSync = false;
        return isLost;
    }

    /// <summary>One transaction.</summary>
    /// <param name="next">What it makes of the stream.</param>
    /// <param name="isSynced">Whether it came to the disk.</param>
    public void Commit(State next, bool isSynced)
    {
        _visible = next;
        if (isSynced)
            Sync();
    }

    public State Visible => _visible;

    /// <summary>Brings what is seen to the disk.</summary>
    public void Sync() => _durable = _visible;

    public void LosePower(SeededRandom random)
    {
        if (!IsDurable && random.Chance(0.5))
            _durable = _visible; // It had been written back meanwhile.
        _visible = _durable;
    }

    /// <summary>A stream at one moment.</summary>
    internal sealed record State(
        ImmutableList<JournalRow> Rows,
        JournalHead Head,
        ImmutableSortedDictionary<long, ReadOnlyMemory<byte>> Documents,
        ImmutableSortedDictionary<long, SnapshotRow> Snapshots)
    {
        public static State Empty { get; } = new(
            [],
            JournalHead.Empty,
            ImmutableSortedDictionary<long, ReadOnlyMemory<byte>>.Empty,
            ImmutableSortedDictionary<long, SnapshotRow>.Empty);
    }
}
