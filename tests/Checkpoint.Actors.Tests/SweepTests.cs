using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class SweepTests
{
    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_an_earlier_process_left_half_stored_is_gone_after_the_next_attach(bool isOnDisk)
    {
        await using var bench = Bench.Open(isOnDisk);
        using var guest = bench.Guest();
        await using (var machine = await bench.AttachAsync(guest))
        {
            machine.Start();
            await Bench.CommittedAsync(machine);
            await Bench.CommittedAsync(machine);
        }

        var stray = $"{3:D12}-{new string('a', 32)}.seg";
        await File.WriteAllTextAsync(Path.Combine(bench.MachineFolder, stray), "a segment whose event never came");
        await File.WriteAllTextAsync(Path.Combine(bench.MachineFolder, $"{4:D12}-{new string('b', 32)}.seg.tmp"), "half a segment");
        var foreign = Path.Combine(bench.MachineFolder, "notes.txt");
        await File.WriteAllTextAsync(foreign, "somebody else's");
        var head = (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Head;
        var left = await bench.Engine.Store.Journal.AppendAsync(new JournalAppend(Bench.Vm, head, [], new NewStateDocument(3, new byte[100]), []));
        Assert.IsType<AppendOutcome.Committed>(left);
        Assert.Equal([1, 2, 3], await bench.Engine.Store.Journal.ListStateDocumentsAsync(Bench.Vm));

        using var other = bench.Guest();
        await using (var machine = await bench.AttachAsync(other))
        {
            Assert.True(File.Exists(foreign));
            File.Delete(foreign);
            await bench.AssertNothingElseIsStoredAsync();
            machine.Start();
            Assert.Equal(3, (await Bench.CommittedAsync(machine)).Number);
        }

        for (var number = 1; number <= 3; number++)
            await bench.RestoreAndRunOnAsync(number);
    }
}
