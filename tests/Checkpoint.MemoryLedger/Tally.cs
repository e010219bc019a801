using System.Collections.Concurrent;
using Checkpoint.Protocol.Events;

namespace Checkpoint.MemoryLedger;

/// <summary>What all machines together have done so far.</summary>
internal sealed class Tally
{
    private long _checkpoints, _incremental, _compressed, _simulated, _restores, _simulatedRestores, _pruned, _pins, _continued, _machines, _memoryBytes;

    public ConcurrentQueue<string> Failures { get; } = [];

    public long Checkpoints => Interlocked.Read(ref _checkpoints);

    public long Restores => Interlocked.Read(ref _restores);

    public void Committed(LifePlan plan, MachineEvent.CheckpointCommitted checkpoint, int pruned)
    {
        Interlocked.Increment(ref _checkpoints);
        if (checkpoint.Mode == CheckpointMode.Incremental)
            Interlocked.Increment(ref _incremental);
        if (plan.Compress)
            Interlocked.Increment(ref _compressed);
        if (plan.IsSimulated)
            Interlocked.Increment(ref _simulated);
        Interlocked.Add(ref _pruned, pruned);
        Interlocked.Add(ref _memoryBytes, checkpoint.MemoryBytes);
    }

    public void Restored(LifePlan plan)
    {
        Interlocked.Increment(ref _restores);
        if (plan.IsSimulated)
            Interlocked.Increment(ref _simulatedRestores);
    }

    public void Pinned() => Interlocked.Increment(ref _pins);

    public void Continued() => Interlocked.Increment(ref _continued);

    public void Begun() => Interlocked.Increment(ref _machines);

    public override string ToString() =>
        $"{_checkpoints} checkpoints of {_machines} machines ({_checkpoints - _incremental} full, {_incremental} incremental; {_compressed} compressed; {_simulated} simulated; "
        + $"{_memoryBytes >> 30} GiB of memory), {_pruned} pruned, {_pins} pinned, {_continued} machines continued from an earlier one, {_restores} restores ({_simulatedRestores} simulated)";
}
