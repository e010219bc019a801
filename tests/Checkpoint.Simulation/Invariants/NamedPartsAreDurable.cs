using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Invariants;

/// <summary>What an event names.</summary>
internal sealed class NamedPartsAreDurable(World world) : Invariant(world)
{
    public override string Law => "when an event is written, everything that it names is on the disk, file and name";

    public override void OnAppended(string vm, JournalAppend append)
    {
        foreach (var committed in append.Events.OfType<MachineEvent.CheckpointCommitted>())
        {
            if (committed.Segment is { } segment && !World.Disk.FolderAt(World.FolderOf(vm)).IsDurable(segment.Name))
                Break($"{vm}@{committed.Number} names the segment {segment.Name}, which is not on the disk");
            if (append.StateDocument?.Number != committed.Number)
                Break($"{vm}@{committed.Number} was written without its state document");
        }
    }
}
