using System.Buffers.Binary;
using Checkpoint.Actors;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Workload;

/// <summary>What the owner of a machine does with it, drawn from the seed.</summary>
internal sealed class Deeds(Life life)
{
    private Tenant Tenant => life.Tenant;

    private World World => Tenant.World;

    private SeededRandom Random => World.Random;

    private SimulatedProcess Process => life.Process.Process;

    /// <summary>Does one thing.</summary>
    /// <returns>False where this life is to end.</returns>
    public async Task<bool> DoOneAsync()
    {
        switch (Random.Below(100))
        {
            case < 56:
                await WaitOrNot(CheckpointAsync).ConfigureAwait(false);
                break;
            case < 60:
                Schedule();
                break;
            case < 67:
                await WaitOrNot(PinAsync).ConfigureAwait(false);
                break;
            case < 72:
                await WaitOrNot(UnpinAsync).ConfigureAwait(false);
                break;
            case < 74:
                await WaitOrNot(PruneAsync).ConfigureAwait(false);
                break;
            case < 77:
                // The round waits for the prune's append, and begins before its segments have gone.
                _ = Tenant.GuardAsync("a prune", Process, PruneAsync);
                await CheckpointAsync().ConfigureAwait(false);
                break;
            case < 85:
                await WaitOrNot(RestoreElsewhereAsync).ConfigureAwait(false);
                break;
            case < 90:
                await SuspendAsync().ConfigureAwait(false);
                break;
            case < 94:
                // Two at once: one of them is refused.
                _ = Tenant.GuardAsync("a checkpoint", Process, CheckpointAsync);
                await CheckpointAsync().ConfigureAwait(false);
                break;
            default:
                World.History.Note(Tenant.Name, $"is to be detached");
                return false;
        }

        return true;
    }

    public async Task CheckpointAsync()
    {
        Tenant.Activity = "it waits for a checkpoint";
        var ending = life.Attached.CheckpointAsync();
        var id = new CheckpointId(BinaryPrimitives.ReadUInt128BigEndian(life.Process.Threads.LastDrawn));
        var outcome = await ending.ConfigureAwait(false);
        if (!Process.IsAlive || outcome is CheckpointOutcome.Committed)
            return;
        // A lost journal means that nobody knows, and that is what it says.
        if (outcome is CheckpointOutcome.Refused { Obstacle: Refusal.JournalLost or Refusal.OwnershipLost })
            return;
        Tenant.NotTaken.Add(id);
        World.Tell(invariant => invariant.OnNotTaken(Tenant, id));
    }

    private Task WaitOrNot(Func<Task> deed)
    {
        if (Random.Chance(0.6))
            return deed();
        _ = Tenant.GuardAsync("a request", Process, deed);
        return Task.CompletedTask;
    }

    private void Schedule()
    {
        if (life.HasSchedule)
            return;
        life.HasSchedule = true;
        var everyUs = Random.Between(1_000, 8_000);
        World.History.Note(Tenant.Name, $"is to be checkpointed every {everyUs} us");
        life.Attached.CheckpointEvery(TimeSpan.FromMicroseconds(everyUs));
    }

    private async Task PinAsync()
    {
        if (Tenant.ReadHistory().Live is not { Count: > 0 } live)
            return;
        var number = Random.Pick(live.Keys.ToList());
        var lastUnpin = Tenant.LastUnpinOf(number);
        World.History.Note(Tenant.Name, $"checkpoint {number} is to be pinned");
        if (await life.Attached.PinAsync(number).ConfigureAwait(false) is not null || !Process.IsAlive)
            return;
        World.History.Note(Tenant.Name, $"checkpoint {number} is pinned");
        Tenant.OnPinned(number, lastUnpin);
    }

    private async Task UnpinAsync()
    {
        if (Tenant.Pinned.Count == 0)
            return;
        var number = Random.Pick(Tenant.Pinned.Order().ToList());
        World.History.Note(Tenant.Name, $"checkpoint {number} is to be unpinned");
        Tenant.OnUnpinAsked(number);
        await life.Attached.UnpinAsync(number).ConfigureAwait(false);
    }

    private async Task PruneAsync()
    {
        var keep = 1 + Random.Below(3);
        World.History.Note(Tenant.Name, $"is to be pruned to {keep}");
        await life.Attached.Coordinator.AskAsync(id => new CoordinatorInput.Prune(id, keep)).ConfigureAwait(false);
    }

    /// <summary>Brings a checkpoint back beside the running machine: to look at it, to let it run, or to go on under a new name.</summary>
    private async Task RestoreElsewhereAsync()
    {
        if (Tenant.ReadHistory().Live is not { Count: > 0 } live)
            return;
        var number = Random.Pick(live.Keys.ToList());
        var engine = new EngineProcess(World, Process);
        var probe = new MachineProbe(World, Process, Tenant);
        var guest = await Course.TryRestoreAsync(Tenant, engine, probe, number).ConfigureAwait(false);
        if (guest is null || !Process.IsAlive)
            return;
        switch (Random.Below(3))
        {
            case 0:
                guest.Dispose();
                break;
            case 1:
                engine.Threads.Pace = guest;
                await RunCopyAsync(engine, guest).ConfigureAwait(false);
                break;
            default:
                await GoOnElsewhereAsync(engine, guest).ConfigureAwait(false);
                break;
        }
    }

    private async Task RunCopyAsync(EngineProcess engine, SimulatedGuest guest)
    {
        engine.IsRecording = true;
        var running = await engine.Engine.RunAsync(guest.Restored!, guest.ToAttachment()).ConfigureAwait(false);
        _ = Tenant.GuardAsync("the record of a copy", Process, () => NoteRecordedAsync(engine, running));
        running.Start();
        await World.Scheduler.DelayAsync(Random.Between(200, 3_000), Process).ConfigureAwait(false);
        await running.StopAsync().ConfigureAwait(false);
        guest.Dispose();
    }

    private static async Task NoteRecordedAsync(EngineProcess engine, DetachedMachine running)
    {
        await running.Recorded.ConfigureAwait(false);
        engine.IsRecording = false;
    }

    private async Task GoOnElsewhereAsync(EngineProcess engine, SimulatedGuest guest)
    {
        var copy = new Tenant(World, $"{Tenant.Name}-{World.Tenants.Count}", Tenant.Shape, 1) { Beginning = Stage.Attaching };
        World.Tenants.Add(copy);
        guest.Probe.IsSpared = true;
        // It is over when this is: a copy whose process ends is not begun again.
        copy.IsDone = true;
        var attached = await Course.TryAttachAsync(copy, engine, guest).ConfigureAwait(false);
        copy.Beginning = null;
        if (attached is null || !Process.IsAlive)
            return;
        copy.Lives.Add(attached);
        attached.Start();
        await World.Scheduler.DelayAsync(Random.Between(50, 1_000), Process).ConfigureAwait(false);
        await new Deeds(attached).CheckpointAsync().ConfigureAwait(false);
        if (Process.IsAlive)
            await Course.StopAsync(attached).ConfigureAwait(false);
    }

    private async Task SuspendAsync()
    {
        Tenant.Activity = "it waits for a suspension";
        World.History.Note(Tenant.Name, $"is suspended");
        // A vCPU that hangs keeps it for ever.
        await Task.WhenAny(life.SuspendAsync(), World.Scheduler.DelayAsync(20_000, Process)).ConfigureAwait(false);
        if (Random.Chance(0.7))
            await CheckpointAsync().ConfigureAwait(false);
        if (!Process.IsAlive || life.IsOver)
            return;
        World.History.Note(Tenant.Name, $"is let run again");
        life.GoOn();
    }
}
