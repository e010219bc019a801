using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class ExitHandlerFailureTests
{
    private static readonly CoordinatorOptions s_impatient = new()
    {
        ParkDeadline = TimeSpan.FromMilliseconds(400),
        CaptureDeadline = TimeSpan.FromSeconds(20),
        ResumeDeadline = TimeSpan.FromMilliseconds(400),
    };

    [KvmFact]
    public async Task A_vcpu_whose_exit_handler_throws_is_gone_and_every_further_round_is_refused_by_its_name()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(vcpus: 3);
        var exits = new ExitProbe(guest, 3) { On = (vcpu, exit) => { if (vcpu == 1 && exit == 20) throw new InvalidOperationException("the disk is gone"); } };
        await using var machine = await bench.AttachAsync(guest, exits: exits);
        machine.Start();
        const string reason = "was ended by its exit handler: the disk is gone";
        Assert.Equal($"vcpu 1 {reason}", await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(30)));
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
        Assert.Equal(new Refusal.ParticipantIsGone("vcpu 1", reason), refused.Obstacle);
        await exits.GoOnAsync(0, 2);
        Assert.Equal(20, exits.CountOf(1));
        await bench.AssertNothingElseIsStoredAsync();
    }

    [KvmFact]
    public async Task A_vcpu_that_dies_while_a_round_waits_for_it_aborts_the_round_by_name()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, exits: exits);
        machine.Start();
        await Bench.CommittedAsync(machine);

        exits.On = (vcpu, _) =>
        {
            if (vcpu != 1)
                return;
            hang.Enter();
            throw new InvalidOperationException("the disk is gone");
        };
        await hang.Begun;
        var round = machine.CheckpointAsync();
        // Asked for while the round is under way: it is, because the vCPU in its handler cannot park.
        Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
        hang.End();
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await round.WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal("vcpu 1", aborted.Abort.Participant);
        Assert.Equal("vcpu 1 was ended by its exit handler: the disk is gone", aborted.Abort.Reason);
        await exits.GoOnAsync(0);
        Assert.Equal(aborted.Abort, (await bench.EventsAsync()).Last());
        Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
        await bench.AssertNothingElseIsStoredAsync();
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task A_vcpu_that_hangs_in_its_exit_handler_aborts_the_round_by_name_and_is_checkpointed_when_it_is_back()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        using var guest = bench.Guest(vcpus: 3);
        var exits = new ExitProbe(guest, 3);
        exits.On = (vcpu, exit) => { if (vcpu == 2 && exit > 5) hang.Enter(); };
        await using var machine = await bench.AttachAsync(guest, s_impatient, exits);
        machine.Start();
        await hang.Begun;
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(15)));
            Assert.Equal(("vcpu 2 did not park within 400 ms", "vcpu 2"), (aborted.Abort.Reason, aborted.Abort.Participant));
            await exits.GoOnAsync(0, 1);
            Assert.Equal(aborted.Abort, (await bench.EventsAsync()).Last());
            await bench.AssertNothingElseIsStoredAsync();
        }

        hang.End();
        await exits.GoOnAsync(2);
        Assert.Equal(1, (await Bench.CommittedAsync(machine)).Number);
        Assert.Equal(2, (await bench.EventsAsync()).OfType<MachineEvent.CheckpointAborted>().Count());
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task A_vcpu_that_dies_while_the_machine_is_stopped_is_told_of_and_those_that_stopped_as_asked_are_not()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        using var guest = bench.Guest(vcpus: 3);
        var exits = new ExitProbe(guest, 3);
        exits.On = (vcpu, exit) =>
        {
            if (vcpu != 1 || exit < 5)
                return;
            hang.Enter();
            throw new InvalidOperationException("the disk is gone");
        };
        await using var machine = await bench.AttachAsync(guest, exits: exits);
        machine.Start();
        await hang.Begun;
        var stopped = machine.StopAsync();
        var others = machine.Coordinator.Host.Actors.OfType<VcpuActor>().Where((_, vcpu) => vcpu != 1);
        await Task.WhenAll(others.Select(vcpu => vcpu.Ended)).WaitAsync(TimeSpan.FromSeconds(30));
        hang.End();
        await stopped.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal("vcpu 1 was ended by its exit handler: the disk is gone", await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [KvmFact]
    public async Task A_machine_whose_vcpus_all_stop_as_asked_has_none_that_ended()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(vcpus: 3);
        await using var machine = await bench.AttachAsync(guest);
        machine.Start();
        await Bench.CommittedAsync(machine);
        Assert.False(machine.ParticipantEnded.IsCompleted);
        await machine.StopAsync();
        Assert.Null(await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(30)));
    }
}
