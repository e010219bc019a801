using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests.Restoring;

/// <summary>Each restore is an event, which every later one reads.</summary>
public sealed class ManyRestoresTests
{
    [Fact]
    public async Task A_checkpoint_that_is_restored_again_and_again_is_found_as_fast_as_at_first()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using (var guest = GuestMachine.Create(bench.Host, GuestKind.Counter, new GuestOptions { Vcpus = 1, MemoryBytes = 1 << 20 }))
        {
            await using var machine = await bench.AttachAsync(guest);
            await Bench.CommittedAsync(machine);
        }

        for (var i = 0; i < 140; i++)
        {
            using var restored = await bench.RestoreAsync(1);
            var guest = Bench.GuestOf(restored);
            await using var running = await bench.Engine.RunAsync(restored, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
            Assert.True(await running.Recorded);
        }

        var (history, snapshot) = await EventStream.RecoverFromSnapshotAsync(bench.Engine.Store.Journal, Bench.Vm);
        Assert.Equal(140, (await bench.EventsAsync()).Count(each => each is MachineEvent.MachineRestored));
        Assert.InRange(history.Head.SequenceNumber - snapshot, 0, 63);
    }

    [Fact]
    public async Task A_machine_that_is_attached_again_and_again_has_its_snapshots_too()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using var guest = GuestMachine.Create(bench.Host, GuestKind.Counter, new GuestOptions { Vcpus = 1, MemoryBytes = 1 << 20 });
        for (var i = 0; i < 5; i++)
        {
            await using var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 1));
            for (var round = 0; round < 15; round++)
                await Bench.CommittedAsync(machine);
        }

        await Eventually.IsTrueAsync(() => bench.Engine.Store.Journal.LoadSnapshotAsync(Bench.Vm).Result is not null, "there is a snapshot");
        var (history, snapshot) = await EventStream.RecoverFromSnapshotAsync(bench.Engine.Store.Journal, Bench.Vm);
        Assert.InRange(history.Head.SequenceNumber, 75, long.MaxValue);
        Assert.InRange(snapshot, 64, long.MaxValue);
    }

    [Fact]
    public async Task A_machine_that_begins_anew_leaves_no_snapshot_that_the_stream_does_not_say()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using var guest = GuestMachine.Create(bench.Host, GuestKind.Counter, new GuestOptions { Vcpus = 1, MemoryBytes = 1 << 20 });
        for (var i = 0; i < 3; i++)
        {
            await using var machine = await bench.AttachAsync(guest);
            for (var round = 0; round < 25; round++)
                await Bench.CommittedAsync(machine);
        }

        // The coordinators do not wait for theirs.
        var journal = bench.Engine.Store.Journal;
        await Eventually.IsTrueAsync(() => journal.LoadSnapshotAsync(Bench.Vm).Result is not null, "there is a snapshot");
        var before = await EventStream.RecoverFromSnapshotAsync(journal, Bench.Vm);
        await using (var machine = await bench.AttachAsync(guest))
        {
            Assert.Null(await machine.PinAsync(1));
            Assert.Null(await machine.PinAsync(2));
        }

        // The next one is written behind these, and it is right.
        var pinned = await EventStream.RecoverFromSnapshotAsync(journal, Bench.Vm);
        Assert.Equal((before.Snapshot, before.History.Current), (pinned.Snapshot, pinned.History.Current));
        await using (var machine = await bench.AttachAsync(guest))
        {
            await Bench.CommittedAsync(machine);
            await Eventually.IsTrueAsync(() => journal.LoadSnapshotAsync(Bench.Vm).Result!.SequenceNumber > before.Snapshot, "the next snapshot");
        }

        Assert.Empty((await bench.Engine.Store.VerifyAsync()).Damages);
    }

    [Fact]
    public async Task A_restore_that_is_stopped_at_once_is_recorded_and_waits_for_no_clock()
    {
        var time = new ManualTime();
        await using var bench = Bench.Open(host: new SimulatedKvm(), time: time);
        using (var guest = GuestMachine.Create(bench.Host, GuestKind.Counter, new GuestOptions { Vcpus = 1, MemoryBytes = 1 << 20 }))
        {
            await using var machine = await bench.AttachAsync(guest);
            await Bench.CommittedAsync(machine);
        }

        using var restored = await bench.RestoreAsync(1);
        var copy = Bench.GuestOf(restored);
        await using var running = await bench.Engine.RunAsync(restored, new MachineAttachment(copy.Machine, copy) { Devices = [new GuestDevice(copy)] });
        try
        {
            await running.StopAsync().WaitAsync(TimeSpan.FromSeconds(60));
            Assert.True(await running.Recorded);
        }
        finally
        {
            time.Advance(TimeSpan.FromMinutes(1));
        }
    }
}
