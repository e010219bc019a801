using Checkpoint.Actors;
using Checkpoint.Actors.Hosting;
using Checkpoint.Simulation.Disk;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage;
using Checkpoint.Storage.Faults;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Simulation.Workload;

/// <summary>An engine on the simulated disk, in a process; a process may have several.</summary>
internal sealed class EngineProcess
{
    public EngineProcess(World world, SimulatedProcess process)
    {
        Process = process;
        Threads = new SimulatedThreads(world.Scheduler, Process, world.Random);
        var time = new VirtualTime(world.Scheduler, Process);
        var store = CheckpointStore.Of(
            new FaultyJournal(new SimulatedJournal(world, Process), world.Faults.Plan),
            new SegmentStore(World.SegmentsFolder, new FaultyFiles(new SimulatedFiles(world, Process), world.Faults.Plan)),
            vm => world.Locks.Take(vm, this));
        Engine = new CheckpointEngine(store, time, new BuiltInHost(store, time, Threads));
    }

    public SimulatedProcess Process { get; }

    public SimulatedThreads Threads { get; }

    public CheckpointEngine Engine { get; }

    /// <summary>Whether it puts on record just now that a copy of a machine was brought back, for which it holds that machine.</summary>
    public bool IsRecording { get; set; }

    public bool IsAlive => Process.IsAlive;
}
