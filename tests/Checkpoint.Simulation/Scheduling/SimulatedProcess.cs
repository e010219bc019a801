namespace Checkpoint.Simulation.Scheduling;

/// <summary>A process that runs an engine. What it had under way ends with it; what it wrote stays as the disk has it.</summary>
internal sealed class SimulatedProcess(int number)
{
    /// <summary>Its number, from 1.</summary>
    public int Number { get; } = number;

    public string Name { get; } = $"process {number}";

    public bool IsAlive { get; private set; } = true;

    /// <summary>What it has missed while it stood still; null where it does not.</summary>
    public List<Scheduler.Entry>? Frozen { get; private set; }

    /// <summary>The process stands still, as by SIGSTOP: what it was to do waits.</summary>
    public void Freeze() => Frozen ??= [];

    /// <summary>It goes on: what has waited is done now.</summary>
    public void Thaw(Scheduler scheduler)
    {
        var waiting = Frozen ?? [];
        Frozen = null;
        foreach (var entry in waiting)
            scheduler.Again(entry);
    }

    /// <summary>SIGKILL, or the end of the power.</summary>
    public void Kill() => IsAlive = false;
}
