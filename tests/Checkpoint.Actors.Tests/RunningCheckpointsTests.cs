using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class RunningCheckpointsTests
{
    [KvmTheory]
    [InlineData(GuestKind.Counter, 1, InterruptChip.None)]
    [InlineData(GuestKind.Counter, 2, InterruptChip.Split)]
    [InlineData(GuestKind.Counter, 3, InterruptChip.Full)]
    [InlineData(GuestKind.Counter, 4, InterruptChip.None)]
    [InlineData(GuestKind.Ledger, 1, InterruptChip.Full)]
    [InlineData(GuestKind.Ledger, 2, InterruptChip.None)]
    [InlineData(GuestKind.Ledger, 3, InterruptChip.Split)]
    [InlineData(GuestKind.Ledger, 4, InterruptChip.Full)]
    [InlineData(GuestKind.Timer, 1, InterruptChip.Full)]
    [InlineData(GuestKind.Timer, 3, InterruptChip.Split)]
    [InlineData(GuestKind.Timer, 4, InterruptChip.Full)]
    public async Task A_restored_guest_is_consistent_at_its_checkpoint_and_after_running_on(GuestKind kind, int vcpus, InterruptChip chip)
    {
        await using var bench = Bench.Open();
        using (var guest = bench.Guest(kind, vcpus, chip))
        {
            var exits = new ExitProbe(guest, vcpus);
            await using var machine = await bench.AttachAsync(guest, exits: exits);
            machine.Start();
            for (var number = 1; number <= 3; number++)
            {
                await exits.AllVcpusGoOnAsync();
                Assert.Equal(number, (await Bench.CommittedAsync(machine)).Number);
            }

            await exits.AllVcpusGoOnAsync();
            await machine.StopAsync();
            Assert.Equal([], guest.Verify().Failures);
        }

        for (var number = 1; number <= 3; number++)
            await bench.RestoreAndRunOnAsync(number);
    }

    [KvmFact]
    public async Task Numbers_grow_by_one_and_each_checkpoint_has_the_one_before_it_as_its_parent()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest);
        machine.Start();
        long? parent = null;
        for (var number = 1; number <= 5; number++)
        {
            var committed = await Bench.CommittedAsync(machine, $"label {number}");
            Assert.Equal(number, committed.Number);
            Assert.Equal(parent, committed.Parent);
            Assert.Equal($"label {number}", committed.Label);
            Assert.Equal(CheckpointTrigger.Request, committed.Trigger);
            Assert.Equal(GuestOptions.DefaultMemoryBytes, (ulong)committed.MemoryBytes);
            Assert.NotNull(committed.GuestClockNs);
            parent = number;
        }

        var history = await bench.Engine.Store.RecoverAsync(Bench.Vm);
        Assert.Equal([1, 2, 3, 4, 5], history.Live.Keys);
        Assert.Equal(5, history.Live.Values.Select(each => each.Id).Distinct().Count());
        await bench.AssertNothingElseIsStoredAsync();
    }

    [KvmFact]
    public async Task A_second_request_during_a_round_is_refused_by_name()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Park) hang.Enter(); } };
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, devices: [device]);
        machine.Start();
        var first = machine.CheckpointAsync();
        await hang.Begun;
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
        Assert.Equal("a checkpoint is already running", refused.Obstacle.Describe());
        hang.End();
        Assert.IsType<CheckpointOutcome.Committed>(await first);
    }
}
