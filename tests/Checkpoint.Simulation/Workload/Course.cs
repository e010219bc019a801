using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.History;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage;

namespace Checkpoint.Simulation.Workload;

/// <summary>A machine's lives in one process, one after another, until it has had its rounds or the process ends.</summary>
internal sealed class Course(Tenant tenant, SimulatedProcess process)
{
    private const int FailuresBeforeDetaching = 2;

    private World World => tenant.World;

    private SeededRandom Random => World.Random;

    /// <summary>Lives until the machine has had its rounds.</summary>
    /// <param name="mustBeRestored">Whether the first life goes on from a checkpoint: another owner is to be fenced by it.</param>
    public async Task RunAsync(bool mustBeRestored)
    {
        while (process.IsAlive && !tenant.IsDone)
        {
            tenant.Activity = "it is being attached";
            var life = await BeginLifeAsync(mustBeRestored).ConfigureAwait(false);
            if (life is null)
            {
                await World.Scheduler.DelayAsync(Random.Between(300, 5_000), process).ConfigureAwait(false);
                continue;
            }

            if (mustBeRestored)
                ThawOwners();
            mustBeRestored = false;
            await LiveAsync(life).ConfigureAwait(false);
            if (!process.IsAlive)
                return;
            if (World.IsFixed && IsBroken(life))
            {
                // It stays as it is: what is whole of it runs on, and the others must not suffer.
                World.History.Note(tenant.Name, $"is broken and is left so");
                tenant.IsLeftBroken = true;
                return;
            }

            tenant.Activity = "it is being stopped";
            await StopAsync(life).ConfigureAwait(false);
            if (life.HasLostOwnership)
                return;
            tenant.IsDone |= tenant.Rounds >= tenant.Target;
        }
    }

    /// <summary>Builds a machine from a checkpoint, and holds it against it; null where that was refused for a reason.</summary>
    public static async Task<SimulatedGuest?> TryRestoreAsync(Tenant tenant, EngineProcess engine, MachineProbe probe, long number)
    {
        var world = tenant.World;
        var struck = world.Faults.Count;
        probe.IsBeingRestored = true;
        RestoredMachine restored;
        try
        {
            var kvm = tenant.Shape.CreateKernel(world, probe);
            restored = await engine.Engine.RestoreAsync(kvm, new CheckpointReference.Numbered(tenant.Name, number)).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is RestoreRefusedException or KvmException or StoreException or IntegrityException)
        {
            if (!engine.IsAlive)
                return null;
            world.History.Note(tenant.Name, $"checkpoint {number} is not brought back: {failure.Message}");
            world.Tell(invariant => invariant.OnNotRestored(tenant, probe));
            // Without anything that went wrong only a prune meanwhile is a reason.
            if (world.Faults.Count == struck && failure is not StoreException { Failure: StoreFailure.NotFound })
                world.Defect($"a restore of {tenant.Name}@{number}", failure);
            return null;
        }

        probe.IsSpared = true;
        var guest = SimulatedGuest.Of(world, tenant.Shape, probe, restored);
        if (engine.IsAlive)
        {
            world.History.Note(tenant.Name, $"checkpoint {number} is brought back");
            world.Tell(invariant => invariant.OnRestored(tenant, guest));
        }

        probe.IsSpared = false;
        probe.IsBeingRestored = false;
        return guest;
    }

    /// <summary>Attaches a machine under a name; null where that was refused for a reason.</summary>
    public static async Task<Life?> TryAttachAsync(Tenant tenant, EngineProcess engine, SimulatedGuest guest)
    {
        var world = tenant.World;
        var struck = world.Faults.Count;
        engine.Threads.Pace = guest;
        try
        {
            var attached = await engine.Engine.AttachAsync(tenant.Name, guest.ToAttachment()).ConfigureAwait(false);
            world.History.Note(tenant.Name, $"is attached in {engine.Process.Name}{(guest.Restored is { } from ? $", from checkpoint {from.Checkpoint.Number} of {from.Vm}" : ", anew")}");
            return new Life(tenant, engine, guest, attached);
        }
        catch (StoreException failure)
        {
            guest.Dispose();
            if (engine.IsAlive)
            {
                world.History.Note(tenant.Name, $"is not attached: {failure.Message}");
                var mayBePruned = guest.Restored is { } from && !tenant.ReadHistory().Live.ContainsKey(from.Checkpoint.Number);
                if (failure.Failure == StoreFailure.Held)
                    world.Tell(invariant => invariant.OnHeld(tenant, world.Locks.HolderOf(tenant.Name)));
                else if (world.Faults.Count == struck && !mayBePruned)
                    world.Defect($"the attachment of {tenant.Name}", failure);
            }

            return null;
        }
    }

    /// <summary>Detaches a machine, and looks whether it stands as it should.</summary>
    public static async Task StopAsync(Life life)
    {
        var tenant = life.Tenant;
        await life.StopAsync().ConfigureAwait(false);
        if (!life.Process.IsAlive)
            return;
        tenant.World.History.Note(tenant.Name, $"is detached");
        tenant.World.Tell(invariant => invariant.OnDetached(tenant, life));
        // Nothing goes wrong for somebody who only looks at what has stopped.
        life.Guest.Probe.IsSpared = true;
        if (!IsBroken(life))
            tenant.World.Tell(invariant => invariant.OnStopped(tenant, life));
        tenant.Bury(life);
    }

    private static bool IsBroken(Life life) =>
        life.Guest.IsBroken || Enumerable.Range(0, life.Guest.Shape.Guest.Vcpus).Any(life.Guest.Probe.IsBroken);

    private async Task<Life?> BeginLifeAsync(bool mustBeRestored)
    {
        tenant.Beginning = Stage.Attaching;
        var engine = new EngineProcess(World, process);
        var probe = new MachineProbe(World, process, tenant);
        SimulatedGuest? guest;
        var live = tenant.ReadHistory().Live;
        if (live.Count > 0 && (mustBeRestored || Random.Chance(0.85)))
        {
            tenant.Beginning = Stage.Restoring;
            var number = Random.Chance(0.7) ? live.Keys.Last() : Random.Pick(live.Keys.ToList());
            guest = await TryRestoreAsync(tenant, engine, probe, number).ConfigureAwait(false);
            if (guest is null || !process.IsAlive)
                return null;
            tenant.Beginning = Stage.Attaching;
        }
        else
        {
            guest = SimulatedGuest.Create(World, tenant.Shape, probe);
        }

        var life = await TryAttachAsync(tenant, engine, guest).ConfigureAwait(false);
        if (life is null || !process.IsAlive)
            return null;
        tenant.Beginning = null;
        tenant.Lives.Add(life);
        return life;
    }

    private async Task LiveAsync(Life life)
    {
        tenant.Activity = "it lives";
        // A machine that was never started is checkpointed too.
        if (!Random.Chance(0.9))
            await new Deeds(life).CheckpointAsync().ConfigureAwait(false);
        life.Start();
        while (process.IsAlive && !life.IsOver && tenant.Rounds < tenant.Target)
        {
            await World.Scheduler.DelayAsync(Random.Between(50, 3_000), process).ConfigureAwait(false);
            if (life.IsOver || (life.Failures >= FailuresBeforeDetaching && IsBroken(life)))
                return;
            if (!await new Deeds(life).DoOneAsync().ConfigureAwait(false))
                return;
            tenant.Activity = "it lives";
        }
    }

    private void ThawOwners()
    {
        foreach (var life in tenant.Lives.Where(life => life.HasLostOwnership && life.Process.Process.Frozen is not null))
        {
            World.History.Note(life.Process.Process.Name, $"goes on");
            life.Process.Process.Thaw(World.Scheduler);
            World.OnThawed(life.Process.Process);
        }
    }
}
