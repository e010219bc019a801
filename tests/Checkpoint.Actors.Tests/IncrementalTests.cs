using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Tests;

/// <summary>Checkpoints that hold what changed, and what they build on.</summary>
[Collection(GuestCollection.Name)]
public sealed class IncrementalTests
{
    private static readonly CoordinatorOptions s_incremental = Bench.Patient() with { Mode = CheckpointMode.Incremental, MaxChain = 5 };

    [KvmFact]
    public async Task Every_checkpoint_of_a_chain_is_restored_and_runs_on()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        var modes = new List<CheckpointMode>();
        using (var guest = bench.Guest(GuestKind.Ledger, vcpus: 2))
        {
            await using var machine = await bench.AttachAsync(guest, s_incremental);
            machine.Start();
            for (var i = 0; i < 12; i++)
            {
                modes.Add((await Bench.CommittedAsync(machine)).Mode);
                await Task.Delay(2);
            }
        }

        // A chain of five begins with a full one.
        Assert.Equal([0, 5, 10], modes.Index().Where(each => each.Item == CheckpointMode.Full).Select(each => each.Index));
        for (var number = 1; number <= 12; number++)
            await bench.RestoreAndRunOnAsync(number);
        Assert.Empty((await bench.Engine.Store.VerifyAsync()).Damages);
    }

    [KvmFact]
    public async Task A_compressed_checkpoint_says_how_much_memory_it_holds_and_is_restored_like_any_other()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        using (var guest = bench.Guest(GuestKind.Counter, vcpus: 2))
        {
            await using var machine = await bench.AttachAsync(guest, s_incremental with { Compress = true });
            machine.Start();
            for (var i = 0; i < 7; i++)
            {
                var committed = await Bench.CommittedAsync(machine);
                Assert.Equal(i % 5 == 0 ? CheckpointMode.Full : CheckpointMode.Incremental, committed.Mode);
                Assert.Equal(committed.DirtyPages * 4096, committed.MemoryBytes);
                using var segment = bench.Engine.Store.Segments.Open(Bench.Vm, committed);
                Assert.True(segment.IsCompressed);
                await Task.Delay(2);
            }
        }

        for (var number = 1; number <= 7; number++)
            await bench.RestoreAndRunOnAsync(number);
        Assert.Empty((await bench.Engine.Store.VerifyAsync()).Damages);
    }

    [KvmFact]
    public async Task An_increment_holds_what_was_written_and_a_guest_at_rest_next_to_nothing()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(GuestKind.Ledger, vcpus: 1);
        await using var machine = await bench.AttachAsync(guest, s_incremental);
        var all = (long)guest.Machine.Memory.Regions.Sum(region => (long)region.SizeBytes);
        Assert.Equal(all, (await Bench.CommittedAsync(machine)).MemoryBytes);

        // The guest has not been started: only the host writes.
        Assert.Equal(0, (await Bench.CommittedAsync(machine)).DirtyPages);
        guest.Machine.Memory.Write(0x7_0ffc, new byte[8]);
        var two = await Bench.CommittedAsync(machine);
        Assert.Equal((CheckpointMode.Incremental, 2L, 8192L), (two.Mode, two.DirtyPages, two.MemoryBytes));
    }

    [KvmFact]
    public async Task What_was_taken_for_a_checkpoint_that_was_aborted_is_in_the_next()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(GuestKind.Ledger, vcpus: 1);
        var device = new ProbeDevice("probe");
        await using var machine = await bench.AttachAsync(guest, s_incremental, devices: [device]);
        await Bench.CommittedAsync(machine);
        guest.Machine.Memory.Write(0x7_0000, new byte[1]);
        device.On = call => throw new IOException($"no {call}");
        Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        device.On = _ => { };
        Assert.Equal(1, (await Bench.CommittedAsync(machine)).DirtyPages);
    }

    [KvmFact]
    public async Task Retention_keeps_what_kept_checkpoints_build_on()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        using (var guest = bench.Guest(GuestKind.Counter, vcpus: 1))
        {
            await using var machine = await bench.AttachAsync(guest, s_incremental with { Keep = 1 });
            machine.Start();
            for (var i = 0; i < 8; i++)
                await Bench.CommittedAsync(machine);
        }

        Assert.Equal([6, 7, 8], (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Live.Keys);
        await bench.RestoreAndRunOnAsync(8);
        await bench.AssertNothingElseIsStoredAsync();
    }

    [KvmFact]
    public async Task Where_host_writes_are_not_noted_every_checkpoint_holds_all_memory_of_its_moment()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(GuestKind.Ledger, vcpus: 1);
        await using var machine = await bench.Engine.AttachAsync(Bench.Vm, new MachineAttachment(guest.Machine, guest)
        {
            Devices = [new GuestDevice(guest)], Options = s_incremental, NotesHostWrites = false,
        });
        var all = guest.Machine.Memory.Regions.Sum(region => (long)region.SizeBytes);
        for (var i = 0; i < 2; i++)
        {
            var committed = await Bench.CommittedAsync(machine);
            Assert.Equal((CheckpointMode.Full, all), (committed.Mode, committed.MemoryBytes));
        }

        Assert.Null(guest.Machine.Memory.Written);
    }
}
