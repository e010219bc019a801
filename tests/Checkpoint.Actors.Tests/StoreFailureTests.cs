using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class StoreFailureTests
{
    [KvmFact]
    public async Task A_checkpoint_that_cannot_be_stored_is_aborted_while_the_guest_runs_on_and_the_next_one_works()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, exits: exits);
        machine.Start();
        Directory.CreateDirectory(Path.GetDirectoryName(bench.MachineFolder)!);
        await File.WriteAllTextAsync(bench.MachineFolder, "a file where the folder should be");
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.StartsWith("the checkpoint could not be stored: ", aborted.Abort.Reason, StringComparison.Ordinal);
        Assert.Null(aborted.Abort.Participant);
        Assert.Equal(aborted.Abort, (await bench.EventsAsync()).Last());
        await exits.AllVcpusGoOnAsync();
        await bench.AssertNothingElseIsStoredAsync();

        File.Delete(bench.MachineFolder);
        Assert.Equal(1, (await Bench.CommittedAsync(machine)).Number);
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task A_machine_whose_journal_somebody_else_writes_takes_no_further_checkpoint_and_its_guest_runs_on()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using (var machine = await bench.AttachAsync(guest, exits: exits))
        {
            machine.Start();
            await Bench.CommittedAsync(machine);
            var head = (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Head;
            var foreign = new MachineEvent.CheckpointPinned(1) { At = default };
            Assert.IsType<AppendOutcome.Committed>(await bench.Engine.Store.Journal.AppendAsync(new JournalAppend(Bench.Vm, head, foreign)));

            for (var attempt = 0; attempt < 2; attempt++)
            {
                var refused = Assert.IsType<CheckpointOutcome.Refused>(await machine.CheckpointAsync());
                Assert.IsType<Refusal.OwnershipLost>(refused.Obstacle);
                await exits.AllVcpusGoOnAsync();
            }

            Assert.Equal([1], await bench.Engine.Store.Journal.ListStateDocumentsAsync(Bench.Vm));
        }

        // What the round had written is nobody's, and goes with the next attach.
        Assert.Equal(2, bench.SegmentFiles.Length);
        using var other = bench.Guest();
        await using var again = await bench.AttachAsync(other);
        await bench.AssertNothingElseIsStoredAsync();
        Assert.Equal(2, (await Bench.CommittedAsync(again)).Number);
    }
}
