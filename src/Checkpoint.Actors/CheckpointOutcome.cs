using System.Collections.Immutable;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors;

/// <summary>How one attempt at a checkpoint ended.</summary>
public abstract record CheckpointOutcome
{
    private CheckpointOutcome()
    {
    }

    /// <summary>The checkpoint exists: everything it names is durable.</summary>
    /// <param name="Checkpoint">The event that committed it.</param>
    /// <param name="Pruned">The checkpoints that retention took with this commit.</param>
    /// <param name="Durable">From the request until the commit was durable.</param>
    public sealed record Committed(MachineEvent.CheckpointCommitted Checkpoint, ImmutableArray<long> Pruned, TimeSpan Durable) : CheckpointOutcome;

    /// <summary>The round was given up; nothing of it is visible and the guest runs on.</summary>
    public sealed record Aborted(MachineEvent.CheckpointAborted Abort) : CheckpointOutcome
    {
        /// <summary>The checkpoints that retention took to make room, where the disk was full.</summary>
        public ImmutableArray<long> Pruned { get; init; } = [];
    }

    /// <summary>The round was not begun.</summary>
    public sealed record Refused(Refusal Obstacle) : CheckpointOutcome;
}
