using Checkpoint.Kvm.Guests;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class ExactIoTests
{
    [KvmTheory]
    [InlineData(GuestKind.Counter)]
    [InlineData(GuestKind.Ledger)]
    public async Task Two_hundred_checkpoints_amid_io_lose_no_number_and_double_none(GuestKind kind)
    {
        await using var bench = Bench.Open();
        // An exit every 16 steps: nearly every park falls on an instruction that is half done.
        using var guest = bench.Guest(kind, exitEvery: 16);
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 5), exits);
        machine.Start();
        for (var number = 1; number <= 200; number++)
        {
            await Bench.CommittedAsync(machine);
            if (number % 50 == 0)
                await bench.RestoreAndRunOnAsync(number);
        }

        await exits.AllVcpusGoOnAsync();
        await machine.StopAsync();
        Assert.Equal([], guest.Verify().Failures);
        Assert.All(Enumerable.Range(0, 2), vcpu => Assert.InRange(exits.CountOf(vcpu), 200, long.MaxValue));
        for (var number = 196; number <= 200; number++)
            await bench.RestoreAndRunOnAsync(number);
    }
}
