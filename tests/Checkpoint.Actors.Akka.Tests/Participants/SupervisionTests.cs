using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Tests.Participants;

public sealed class SupervisionTests : ActorSystemTests
{
    [Fact]
    public async Task A_vcpus_actor_that_is_restarted_goes_on_with_the_same_vcpu_and_the_guest_notices_nothing()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        await CommittedAsync(machine);
        var vcpu = ChildOf(machine, "vcpu-1");
        for (var restart = 2; restart <= 4; restart++)
        {
            // It throws ActorKilledException inside the actor: its parent restarts it as after any other exception.
            vcpu.Tell(Kill.Instance);
            Assert.Equal(restart, (await CommittedAsync(machine)).Number);
        }

        Assert.Equal(vcpu, ChildOf(machine, "vcpu-1"));
        await TellAsync(machine, new MachineCommand.StopMachine());
        var verdict = guest.Verify();
        Assert.Equal([], verdict.Failures);
        Assert.All(verdict.Steps, steps => Assert.True(steps > 0));
    }

    [Fact]
    public async Task A_vcpu_whose_actor_was_stopped_has_parked_and_every_further_round_is_refused_by_its_name()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        // Which of both is heard first nobody can say.
        var unprotected = CreateTestProbe();
        Sys.EventStream.Subscribe(unprotected, typeof(MachineUnprotected));
        var vcpu = ChildOf(machine, "vcpu-0");
        Watch(vcpu);
        vcpu.Tell(PoisonPill.Instance);
        await ExpectTerminatedAsync(vcpu, Patience);
        Assert.Equal("vcpu 0 was stopped", (await unprotected.ExpectMsgAsync<MachineUnprotected>(Patience)).Reason);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        Assert.Equal("vcpu 0", Assert.IsType<Refusal.ParticipantIsGone>(refused.Obstacle).Participant);
        await TellAsync(machine, new MachineCommand.StopMachine());
        Assert.Equal([], guest.Verify().Failures);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_coordinators_actor_that_is_ended_between_rounds_comes_back_and_goes_on(bool isKilled)
    {
        using var guest = Guest();
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        await CommittedAsync(machine);
        var coordinator = ChildOf(machine, "coordinator");
        Watch(coordinator);
        coordinator.Tell(isKilled ? Kill.Instance : PoisonPill.Instance);
        await ExpectTerminatedAsync(coordinator, Patience);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
    }

    [Fact]
    public async Task A_coordinators_actor_that_is_killed_at_work_says_so_to_all_who_ask_and_the_guest_runs_on()
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = Guest();
        var machine = (await AttachAsync(guest, null, device)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        Sys.EventStream.Subscribe(TestActor, typeof(MachineUnprotected));
        var round = TakeAsync(machine);
        await hang.Begun;
        ChildOf(machine, "coordinator").Tell(Kill.Instance);
        await Assert.ThrowsAsync<InvalidOperationException>(() => round);
        hang.End();
        Assert.Equal("the coordinator has ended: it was stopped while it was at work", (await ExpectMsgAsync<MachineUnprotected>(Patience)).Reason);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        Assert.Equal(new Refusal.CoordinatorEnded("it was stopped while it was at work"), refused.Obstacle);
        var steps = guest.Verify().Steps[0];
        await Eventually.IsTrueAsync(() => guest.Verify().Steps[0] > steps, "the guest runs on");
        await TellAsync(machine, new MachineCommand.StopMachine());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_machine_whose_actor_ends_while_nobody_holds_it_gives_its_lock_back_and_can_be_attached_again(bool isKilled)
    {
        Sys.EventStream.Subscribe(TestActor, typeof(MachineUnprotected));
        for (var number = 1; number <= 3; number++)
        {
            using var guest = Guest();
            var machine = (await AttachAsync(guest)).Machine;
            await TellAsync(machine, new MachineCommand.StartMachine());
            await TellAsync(machine, new MachineCommand.CheckpointEvery(TimeSpan.FromHours(1)));
            Assert.Equal(number, (await CommittedAsync(machine)).Number);
            machine.Tell(isKilled ? Kill.Instance : PoisonPill.Instance);
            Assert.Equal("a", (await ExpectMsgAsync<MachineUnprotected>(Patience)).Vm);
            await Eventually.IsTrueAsync(IsFree, "the lock is given back");
            Assert.Equal([], guest.Verify().Failures);
        }

        Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
    }

    private bool IsFree()
    {
        try
        {
            Extension.Engine.Store.Lock("a").Dispose();
            return true;
        }
        catch (Storage.StoreException)
        {
            return false;
        }
    }

    [Fact]
    public async Task Each_vcpu_can_be_suspended_and_stopped_by_itself_with_no_io_pending()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        var vcpu = ChildOf(machine, "vcpu-0");
        Assert.Equal(new VcpuSuspended(0, true), await vcpu.Ask<VcpuSuspended>(SuspendVcpu.Instance, Patience));
        Assert.Equal(new VcpuSuspended(0, false), await vcpu.Ask<VcpuSuspended>(SuspendVcpu.Instance, Patience));
        Assert.Equal(new VcpuResumed(0), await vcpu.Ask<VcpuResumed>(ResumeVcpu.Instance, Patience));
        Assert.Equal(1, (await CommittedAsync(machine)).Number);
        Assert.Equal(new VcpuStopped(0), await vcpu.Ask<VcpuStopped>(StopVcpu.Instance, Patience));
        Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
    }
}
