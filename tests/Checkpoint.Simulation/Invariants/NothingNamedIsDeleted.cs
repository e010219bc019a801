using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Sweep and prune.</summary>
internal sealed class NothingNamedIsDeleted(World world) : Invariant(world)
{
    private readonly HashSet<(string Vm, string Name)> _deleted = [];

    public override string Law => "sweep and prune delete nothing that a live checkpoint names, or will name";

    public override void OnDeleted(string vm, string name)
    {
        _deleted.Add((vm, name));
        if (World.TenantOf(vm).ReadHistory().Live.Values.FirstOrDefault(live => live.Segment?.Name == name) is { } committed)
            Break($"the segment {name} was deleted, and {vm}@{committed.Number} names it");
    }

    public override void OnAppended(string vm, JournalAppend append)
    {
        var live = World.TenantOf(vm).ReadHistory().Live;
        foreach (var committed in append.Events.OfType<MachineEvent.CheckpointCommitted>())
        {
            if (committed.Segment is { } segment && _deleted.Contains((vm, segment.Name)))
                Break($"{vm}@{committed.Number} names the segment {segment.Name}, which was deleted before");
        }

        foreach (var number in append.DeleteStateDocuments)
        {
            if (live.ContainsKey(number))
                Break($"the state document of {vm}@{number} was deleted, and the checkpoint lives");
        }

        foreach (var increment in live.Values)
        {
            if (increment is { Mode: CheckpointMode.Incremental, Parent: { } parent } && !live.ContainsKey(parent))
                Break($"{vm}@{parent} was pruned, and {vm}@{increment.Number} builds on it");
        }
    }
}
