using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Tests.Machines;

public sealed class MachineDoorTests : ActorSystemTests
{
    [Fact]
    public async Task A_users_actor_runs_a_machine_by_messages_alone()
    {
        Sys.EventStream.Subscribe(TestActor, typeof(RoundEnded));
        using var guest = Guest();
        var attached = await AttachAsync(guest);
        Assert.Equal("akka://test/user/checkpoint/a", attached.Machine.Path.ToString());
        Assert.IsType<MachineReply.Done>(await TellAsync(attached.Machine, new MachineCommand.StartMachine()));
        for (var number = 1; number <= 4; number++)
        {
            Assert.Equal($"number {number}", (await CommittedAsync(attached.Machine, $"number {number}")).Label);
            Assert.IsType<CheckpointOutcome.Committed>((await ExpectMsgAsync<RoundEnded>(Patience)).Outcome);
        }

        Assert.IsType<MachineReply.Done>(await TellAsync(attached.Machine, new MachineCommand.PinCheckpoint(1)));
        var missing = Assert.IsType<MachineReply.Refused>(await TellAsync(attached.Machine, new MachineCommand.PinCheckpoint(9)));
        Assert.Equal(new Refusal.NoSuchCheckpoint("a@9"), missing.Obstacle);
        var pruned = Assert.IsType<MachineReply.Done>(await TellAsync(attached.Machine, new MachineCommand.PruneCheckpoints(1)));
        Assert.Equal([2, 3], pruned.Numbers.AsEnumerable());
        var status = await attached.Machine.Ask<MachineStatus>(new MachineCommand.GetMachine(), Patience);
        Assert.Equal((RoundPhase.Idle, 4L), (status.Phase, status.HighestNumber));
        Assert.Equal([1, 4], status.Live.AsEnumerable());
        Assert.Equal([1], status.Pinned.AsEnumerable());
        Assert.Equal(["vcpu 0", "machine"], status.Participants.AsEnumerable());
        Assert.Equal(["a"], (await Extension.Actor.Ask<AttachedMachines>(new EngineCommand.ListMachines(), Patience)).Machines.Keys);

        Watch(attached.Machine);
        Assert.IsType<MachineReply.Done>(await TellAsync(attached.Machine, new MachineCommand.StopMachine()));
        await ExpectTerminatedAsync(attached.Machine, Patience);
        Assert.Equal([], guest.Verify().Failures);
        Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
    }

    [Fact]
    public async Task A_machine_that_was_stopped_is_held_until_who_holds_it_gives_it_up()
    {
        using var guest = Guest();
        var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)], Options = Bench.Patient() };
        await using (var machine = await Extension.Engine.AttachAsync("a", attachment))
        {
            var actor = await Sys.ActorSelection("/user/checkpoint/a").ResolveOne(Patience);
            Watch(actor);
            machine.Start();
            await machine.StopAsync();
            await ExpectTerminatedAsync(actor, Patience);
            await Task.Delay(50);
            Assert.Equal(StoreFailure.Held, Assert.Throws<StoreException>(() => Extension.Engine.Store.Lock("a")).Failure);
        }

        Extension.Engine.Store.Lock("a").Dispose();
    }

    [Fact]
    public async Task A_suspended_machine_stands_still_is_checkpointed_as_it_stands_and_runs_on()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        await CommittedAsync(machine);
        await TellAsync(machine, new MachineCommand.SuspendMachine());
        var steps = guest.Verify().Steps;
        await CommittedAsync(machine);
        await CommittedAsync(machine);
        Assert.Equal(steps, guest.Verify().Steps);
        await TellAsync(machine, new MachineCommand.ResumeMachine());
        await Eventually.IsTrueAsync(() => guest.Verify().Steps.Zip(steps, (now, before) => now > before).All(grew => grew), "both vCPUs run on");
        await CommittedAsync(machine);
    }

    [Fact]
    public async Task A_machine_suspended_during_a_round_stands_still_when_the_round_is_over()
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, device)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var round = TakeAsync(machine);
        await hang.Begun;
        var suspended = TellAsync(machine, new MachineCommand.SuspendMachine());
        hang.End();
        Assert.IsType<CheckpointOutcome.Committed>(await round);
        Assert.IsType<MachineReply.Done>(await suspended);
        var steps = guest.Verify().Steps;
        await Task.Delay(50);
        Assert.Equal(steps, guest.Verify().Steps);
    }

    [Fact]
    public async Task A_schedule_by_message_takes_checkpoints_until_the_stop()
    {
        Sys.EventStream.Subscribe(TestActor, typeof(RoundEnded));
        using var guest = Guest();
        var machine = (await AttachAsync(guest, Bench.Patient(keep: 2))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        await TellAsync(machine, new MachineCommand.CheckpointEvery(TimeSpan.FromMilliseconds(5)));
        for (var number = 1; number <= 5; number++)
            Assert.Equal(number, Assert.IsType<CheckpointOutcome.Committed>((await ExpectMsgAsync<RoundEnded>(Patience)).Outcome).Checkpoint.Number);
        await Assert.ThrowsAsync<InvalidOperationException>(() => TellAsync(machine, new MachineCommand.CheckpointEvery(TimeSpan.FromMilliseconds(5))));
        await TellAsync(machine, new MachineCommand.StopMachine());
    }

    [Fact]
    public async Task What_is_missing_in_a_message_or_out_of_range_is_answered_by_its_name()
    {
        var engine = Extension.Actor;
        await Assert.ThrowsAsync<ArgumentNullException>("attachment", () => engine.Ask<MachineAttached>(new EngineCommand.AttachMachine("a", null!), Patience));
        await Assert.ThrowsAsync<ArgumentNullException>("kvm", () => engine.Ask<RestoredMachine>(
            new EngineCommand.RestoreMachine(null!, new Protocol.History.CheckpointReference.Latest("a")), Patience));
        using var guest = Guest();
        var machine = (await AttachAsync(guest)).Machine;
        var refused = await Assert.ThrowsAsync<OptionOutOfRangeException>(() => TellAsync(machine, new MachineCommand.CheckpointEvery(TimeSpan.FromDays(367))));
        Assert.Equal("interval = 31708800000ms: write a duration from 1ms to 366d", refused.Message);
        Assert.IsType<MachineReply.Done>(await TellAsync(machine, new MachineCommand.CheckpointEvery(TimeSpan.FromDays(60))));
    }

    [Fact]
    public async Task A_machine_that_is_held_is_not_attached_again_and_its_asker_is_told_why()
    {
        using var guest = Guest();
        await AttachAsync(guest);
        using var other = Guest();
        var held = await Assert.ThrowsAsync<StoreException>(() => AttachAsync(other));
        Assert.Equal(StoreFailure.Held, held.Failure);
    }

    [Fact]
    public async Task The_end_of_the_actor_system_parks_the_machine_and_gives_its_lock_back()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        await CommittedAsync(machine);
        await Sys.Terminate().WaitAsync(Patience);
        Assert.Equal([], guest.Verify().Failures);
        await using var builtIn = CheckpointEngine.Open(Options);
        using var other = Guest(vcpus: 2);
        await using var again = await builtIn.AttachAsync("a", new MachineAttachment(other.Machine, other) { Devices = [new GuestDevice(other)] });
        Assert.Equal(2, (await Bench.CommittedAsync(again)).Number);
    }
}
