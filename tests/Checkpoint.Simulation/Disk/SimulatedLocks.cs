using Checkpoint.Simulation.Workload;
using Checkpoint.Storage;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Simulation.Disk;

/// <summary>Who holds which machine. A lock vanishes with its process; a session that breaks loses it while its holder goes on.</summary>
internal sealed class SimulatedLocks
{
    private readonly Dictionary<string, Held> _held = new(StringComparer.Ordinal);

    public IMachineLock Take(string vm, EngineProcess engine)
    {
        if (HolderOf(vm) is { } holder)
            throw new StoreException(StoreFailure.Held, $"the machine '{vm}' is held by {holder.Process.Name}; stop it first");
        return _held[vm] = new Held(this, vm, engine);
    }

    /// <summary>Whose engine holds a machine, in a process that lives; null where nobody does.</summary>
    public EngineProcess? HolderOf(string vm) => _held.TryGetValue(vm, out var holder) && holder.Engine.IsAlive ? holder.Engine : null;

    /// <summary>The holder has lost it and does not know.</summary>
    public void Lose(string vm) => _held.Remove(vm);

    private sealed class Held(SimulatedLocks locks, string vm, EngineProcess engine) : IMachineLock
    {
        public string Vm => vm;

        public EngineProcess Engine => engine;

        public bool IsHeld { get; private set; } = true;

        public void Dispose()
        {
            IsHeld = false;
            if (engine.IsAlive && locks._held.TryGetValue(vm, out var holder) && ReferenceEquals(holder, this))
                locks._held.Remove(vm);
        }
    }
}
