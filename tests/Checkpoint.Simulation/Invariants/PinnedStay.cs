using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Pins.</summary>
internal sealed class PinnedStay(World world) : Invariant(world)
{
    public override string Law => "a checkpoint whose pin was acknowledged stays until somebody asks for its end";

    public override void OnAppended(string vm, JournalAppend append)
    {
        foreach (var number in append.Events.OfType<MachineEvent.CheckpointPruned>().SelectMany(pruned => pruned.Numbers))
        {
            if (World.TenantOf(vm).Pinned.Contains(number))
                Break($"{vm}@{number} is pinned and was pruned");
        }
    }
}
