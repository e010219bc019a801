using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Simulation.Disk;

/// <summary>Who holds which machine. A lock vanishes with its process; a session that breaks loses it while its holder goes on.</summary>
internal sealed class SimulatedLocks
{
    private readonly Dictionary<string, Held> _held = new(StringComparer.Ordinal);

    public IMachineLock Take(string vm, SimulatedProcess process)
    {
        if (_held.TryGetValue(vm, out var holder) && holder.Process.IsAlive)
            throw new StoreException(StoreFailure.Held, $"the machine '{vm}' is held by process {holder.Process.Number}; stop it first");
        return _held[vm] = new Held(this, vm, process);
    }

    /// <summary>The holder has lost it and does not know.</summary>
    public void Lose(string vm) => _held.Remove(vm);

    private sealed class Held(SimulatedLocks locks, string vm, SimulatedProcess process) : IMachineLock
    {
        public string Vm => vm;

        public SimulatedProcess Process => process;

        public bool IsHeld { get; private set; } = true;

        public void Dispose()
        {
            IsHeld = false;
            if (process.IsAlive && locks._held.TryGetValue(vm, out var holder) && ReferenceEquals(holder, this))
                locks._held.Remove(vm);
        }
    }
}
