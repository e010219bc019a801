using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Workload;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Something that holds in every history. It hears of what happens and says so when it does not hold.</summary>
internal abstract class Invariant(World world)
{
    /// <summary>What is printed when it is broken.</summary>
    public string Name => GetType().Name;

    /// <summary>What holds, as a sentence.</summary>
    public abstract string Law { get; }

    protected World World => world;

    /// <summary>A caller was told that a checkpoint exists.</summary>
    public virtual void OnAcknowledged(Tenant tenant, MachineEvent.CheckpointCommitted checkpoint)
    {
    }

    /// <summary>A caller was told that a round did not become a checkpoint.</summary>
    public virtual void OnNotTaken(Tenant tenant, CheckpointId id)
    {
    }

    /// <summary>Something was written to a stream, whoever hears of it.</summary>
    public virtual void OnAppended(string vm, JournalAppend append)
    {
    }

    /// <summary>A segment was deleted.</summary>
    public virtual void OnDeleted(string vm, string name)
    {
    }

    /// <summary>A device was told to go on.</summary>
    public virtual void OnDeviceResumed(string vm, ToldDevice device)
    {
    }

    /// <summary>A machine was built from a checkpoint and handed over.</summary>
    public virtual void OnRestored(Tenant tenant, SimulatedGuest guest)
    {
    }

    /// <summary>A machine was to be built from a checkpoint and was not.</summary>
    public virtual void OnNotRestored(Tenant tenant, Kernel.MachineProbe probe)
    {
    }

    /// <summary>A round has ended, in a process that lives.</summary>
    public virtual void OnRoundEnded(Tenant tenant, Life life)
    {
    }

    /// <summary>A machine was not attached because somebody holds it.</summary>
    public virtual void OnHeld(Tenant tenant, EngineProcess? holder)
    {
    }

    /// <summary>A life of a machine was stopped; what a fault holds of it was left behind.</summary>
    public virtual void OnDetached(Tenant tenant, Life life)
    {
    }

    /// <summary>A life of a machine was stopped with nothing half done.</summary>
    public virtual void OnStopped(Tenant tenant, Life life)
    {
    }

    /// <summary>Now and then.</summary>
    public virtual void OnLook()
    {
    }

    /// <summary>The disk has come back after a power failure, or the history is over.</summary>
    public virtual void OnSettled(Tenant tenant)
    {
    }

    protected void Break(string what) => world.Break(this, what);
}
