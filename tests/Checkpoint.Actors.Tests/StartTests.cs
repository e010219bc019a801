using Checkpoint.Kvm.Guests;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class StartTests
{
    [KvmFact]
    public async Task A_checkpoint_before_the_start_is_the_guests_beginning_and_does_not_start_it()
    {
        await using var bench = Bench.Open();
        using (var guest = bench.Guest(GuestKind.Counter))
        {
            var exits = new ExitProbe(guest, 2);
            await using var machine = await bench.AttachAsync(guest, exits: exits);
            await Bench.CommittedAsync(machine);
            await Task.Delay(50);
            await machine.StopAsync();
            Assert.Equal([0, 0], guest.Verify().Steps);
        }

        using var restored = await bench.RestoreAsync(1);
        var verdict = Bench.GuestOf(restored).Verify(restored.Document.Vcpus);
        Assert.Equal([], verdict.Failures);
        Assert.Equal([0, 0], verdict.Steps);
    }

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_start_during_a_round_lets_no_vcpu_run_before_the_round_does(bool isRunning)
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, exits: exits, devices: [device]);
        if (isRunning)
        {
            machine.Start();
            await exits.AllVcpusGoOnAsync();
        }

        var round = machine.CheckpointAsync();
        await hang.Begun;
        var parked = exits.CountOf(0) + exits.CountOf(1);
        machine.Start();
        await Task.Delay(100);
        var later = exits.CountOf(0) + exits.CountOf(1);
        hang.End();
        Assert.Equal(parked, later);
        Assert.IsType<CheckpointOutcome.Committed>(await round.WaitAsync(TimeSpan.FromSeconds(60)));
        await exits.AllVcpusGoOnAsync();
        await bench.RestoreAndRunOnAsync(1);
    }
}
