using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <summary>Which checkpoints go. Pure: the same history gives the same answer.</summary>
public static class Retention
{
    /// <summary>
    /// The checkpoints that are not among the newest <paramref name="keep"/>, not pinned, not the one that the machine goes on
    /// from, and that no kept increment builds on.
    /// </summary>
    /// <param name="history">What the stream says.</param>
    /// <param name="keep">How many of the newest stay; at least 1.</param>
    public static ImmutableArray<long> Select(MachineHistory history, int keep) =>
        Select(history.Live, history.Pinned, history.Current, keep);

    /// <summary>The checkpoints to prune once <paramref name="next"/> is committed.</summary>
    public static ImmutableArray<long> SelectAfter(MachineHistory history, MachineEvent.CheckpointCommitted next, int keep) =>
        Select(history.Live.Add(next.Number, next), history.Pinned, next.Number, keep);

    private static ImmutableArray<long> Select(
        ImmutableSortedDictionary<long, MachineEvent.CheckpointCommitted> live,
        ImmutableSortedSet<long> pinned,
        long? current,
        int keep)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        if (live.Count <= keep)
            return [];

        var kept = new HashSet<long>(pinned);
        kept.UnionWith(live.Keys.Reverse().Take(keep));
        if (current is { } number)
            kept.Add(number);
        // An increment is worth nothing without what it builds on, down to the full checkpoint at the bottom of its chain.
        foreach (var each in kept.ToArray())
        {
            var at = live[each];
            while (at is { Mode: CheckpointMode.Incremental, Parent: { } parent } && kept.Add(parent))
                at = live[parent];
        }

        return [.. live.Keys.Where(each => !kept.Contains(each))];
    }
}
