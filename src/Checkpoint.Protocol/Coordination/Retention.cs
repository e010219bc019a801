using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <summary>Which checkpoints go. Pure: the same history gives the same answer.</summary>
public static class Retention
{
    /// <summary>
    /// The checkpoints that are not among the newest <paramref name="keep"/>, not pinned, and that no kept increment builds on.
    /// </summary>
    /// <param name="live">The checkpoints that exist, by number.</param>
    /// <param name="pinned">The pinned numbers.</param>
    /// <param name="keep">How many of the newest stay; at least 1.</param>
    public static ImmutableArray<long> Select(
        ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted> live,
        ImmutableSortedSet<long> pinned,
        int keep)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        if (live.Count <= keep)
            return [];

        var kept = new HashSet<long>(pinned);
        kept.UnionWith(live.Keys.Reverse().Take(keep));
        // An increment is worth nothing without what it builds on, down to the full checkpoint at the bottom of its chain.
        foreach (var number in kept.ToArray())
        {
            var at = live[number];
            while (at is { Mode: CheckpointMode.Incremental, Parent: { } parent } && kept.Add(parent))
                at = live[parent];
        }

        return [.. live.Keys.Where(number => !kept.Contains(number))];
    }

    /// <summary>The checkpoints to prune once <paramref name="next"/> is committed.</summary>
    public static ImmutableArray<long> SelectAfter(MachineHistory history, MachineEvent.CheckpointCommitted next, int keep) =>
        Select(history.Live.Add(next.Number, next), history.Pinned, keep);
}
