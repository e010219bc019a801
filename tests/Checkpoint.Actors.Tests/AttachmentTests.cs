using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class AttachmentTests
{
    [KvmFact]
    public async Task A_machine_that_is_attached_cannot_be_attached_again_until_it_is_disposed_of()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        using var guest = bench.Guest();
        using var other = bench.Guest();
        await using (var machine = await bench.AttachAsync(guest))
        {
            var refused = await Assert.ThrowsAsync<StoreException>(() => bench.AttachAsync(other));
            Assert.Equal(StoreFailure.Held, refused.Failure);
            Assert.Contains("machine 'a' is held", refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', refused.Message);
            await machine.StopAsync();
            // Stopped, but not given up.
            await Assert.ThrowsAsync<StoreException>(() => bench.AttachAsync(other));
        }

        await using var again = await bench.AttachAsync(other);
        again.Start();
        Assert.Equal(1, (await Bench.CommittedAsync(again)).Number);
    }

    [KvmFact]
    public async Task A_name_belongs_to_machines_of_one_shape()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(vcpus: 2);
        await using (await bench.AttachAsync(guest))
        {
        }

        using var larger = bench.Guest(vcpus: 3);
        var refused = await Assert.ThrowsAsync<StoreException>(() => bench.AttachAsync(larger));
        Assert.Contains("use another name", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);

        // The refused attempt has let go of the lock.
        using var same = bench.Guest(vcpus: 2);
        await using var again = await bench.AttachAsync(same);
    }

    [KvmFact]
    public async Task A_machine_that_goes_on_from_a_restore_has_the_restored_checkpoint_as_its_parent()
    {
        await using var bench = Bench.Open();
        using (var guest = bench.Guest())
        {
            await using var machine = await bench.AttachAsync(guest);
            machine.Start();
            for (var number = 1; number <= 3; number++)
                await Bench.CommittedAsync(machine);
        }

        using (var restored = await bench.RestoreAsync(2))
        {
            await using var machine = await bench.AttachAsync(Bench.GuestOf(restored), from: restored);
            machine.Start();
            var fourth = await Bench.CommittedAsync(machine);
            Assert.Equal((4, (long?)2), (fourth.Number, fourth.Parent));
            var fifth = await Bench.CommittedAsync(machine);
            Assert.Equal((5, (long?)4), (fifth.Number, fifth.Parent));
            var record = Assert.Single((await bench.EventsAsync()).OfType<MachineEvent.MachineRestored>());
            Assert.Equal((2, true, restored.GenerationId), (record.FromNumber, record.Continues, record.GenerationId));
        }

        using (var restored = await bench.RestoreAsync(4))
        {
            await using var copy = await bench.AttachAsync(Bench.GuestOf(restored), from: restored, vm: "b");
            copy.Start();
            var first = await Bench.CommittedAsync(copy);
            Assert.Equal((1, (long?)null), (first.Number, first.Parent));
        }

        using var anew = bench.Guest();
        await using var begun = await bench.AttachAsync(anew);
        Assert.Null((await Bench.CommittedAsync(begun)).Parent);
        await bench.RestoreAndRunOnAsync(5);
    }

    [KvmFact]
    public async Task Going_on_from_a_checkpoint_that_was_pruned_meanwhile_is_refused_and_the_journal_stays_whole()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        RestoredMachine restored;
        await using (var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 1)))
        {
            machine.Start();
            await Bench.CommittedAsync(machine);
            restored = await bench.RestoreAsync(1);
            await Bench.CommittedAsync(machine);
        }

        using (restored)
        {
            var failure = await Record.ExceptionAsync(async () => await (await bench.AttachAsync(Bench.GuestOf(restored), from: restored)).DisposeAsync());
            Assert.Equal([2], (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Live.Keys);
            Assert.IsType<StoreException>(failure);
        }
    }

    [KvmFact]
    public async Task A_stop_during_a_round_lets_it_end_and_leaves_a_whole_checkpoint()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, devices: [device]);
        machine.Start();
        var round = machine.CheckpointAsync();
        await hang.Begun;
        var stop = machine.StopAsync();
        Assert.False(stop.IsCompleted);
        hang.End();
        await stop.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.IsType<CheckpointOutcome.Committed>(await round);
        Assert.Equal([], guest.Verify().Failures);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
        Assert.IsType<Refusal.Stopping>(refused.Obstacle);
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task Disposing_during_a_stop_keeps_the_lock_until_the_round_has_ended()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = bench.Guest();
        var machine = await bench.AttachAsync(guest, devices: [device]);
        machine.Start();
        var round = machine.CheckpointAsync();
        await hang.Begun;
        var stop = machine.StopAsync();
        var disposal = machine.DisposeAsync().AsTask();
        var isGivenUp = disposal.IsCompleted;
        hang.End();
        await Task.WhenAll(stop, disposal, round).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.False(isGivenUp, "the machine's lock was given back while a round was under way");
    }

    [KvmFact]
    public async Task A_handler_of_ended_rounds_that_throws_does_not_keep_the_guest_from_being_stopped()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        var isOver = false;
        var exits = new ExitProbe(guest, 2) { On = (_, _) => { if (Volatile.Read(ref isOver)) throw new OperationCanceledException(); } };
        var machine = await bench.AttachAsync(guest, exits: exits);
        var ended = new TaskCompletionSource();
        machine.RoundEnded += (_, _) =>
        {
            ended.TrySetResult();
            throw new InvalidOperationException("the handler's own");
        };
        machine.Start();
        machine.CheckpointEvery(TimeSpan.FromMilliseconds(20));
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await Record.ExceptionAsync(machine.StopAsync);
        await Record.ExceptionAsync(async () => await machine.DisposeAsync());
        var before = exits.CountOf(0) + exits.CountOf(1);
        await Task.Delay(100);
        var after = exits.CountOf(0) + exits.CountOf(1);
        isOver = true; // Ends the vCPUs' threads, wherever they are.
        await Eventually.IsTrueAsync(() => !OwnThreads.Names().Any(name => name.StartsWith("vcpu", StringComparison.Ordinal)), "the threads end");
        Assert.Equal(before, after);
    }

    [KvmFact]
    public async Task A_pin_of_a_checkpoint_that_does_not_exist_is_refused_by_its_name()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest);
        var refusal = await machine.PinAsync(7);
        Assert.Equal("there is no checkpoint a@7", refusal?.Describe());
    }
}
