using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Numbers.</summary>
internal sealed class NumbersAreNew(World world) : Invariant(world)
{
    private readonly Dictionary<(string Vm, long Number), CheckpointId> _known = [];

    public override string Law => "a number that a checkpoint had is never another's";

    public override void OnAppended(string vm, JournalAppend append)
    {
        foreach (var committed in append.Events.OfType<MachineEvent.CheckpointCommitted>())
        {
            // One that was written and lost again before anybody heard of it has not had its number.
            if (_known.TryGetValue((vm, committed.Number), out var id) && id != committed.Id && World.TenantOf(vm).Acknowledged.ContainsKey(committed.Number))
                Break($"{vm}@{committed.Number} is {committed.Id} and was {id}");
            _known[(vm, committed.Number)] = committed.Id;
        }
    }
}
