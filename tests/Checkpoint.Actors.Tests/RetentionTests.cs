namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class RetentionTests
{
    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task There_are_never_more_than_the_newest_n_and_the_pinned_and_the_parts_of_the_rest_are_gone(bool isOnDisk)
    {
        await using var bench = Bench.Open(isOnDisk);
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 3));
        machine.Start();
        for (var number = 1; number <= 8; number++)
        {
            var committed = await Bench.CommittedAsync(machine);
            Assert.Equal(number, committed.Number);
            if (number == 2)
                Assert.Null(await machine.PinAsync(2));
            long[] expected = [.. Enumerable.Range(1, number).Select(each => (long)each).Where(each => each > number - 3 || each == 2)];
            var live = (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Live;
            Assert.Equal(expected, live.Keys);
            // The files go after the commit's reply.
            await Eventually.IsTrueAsync(() => bench.SegmentFiles.SequenceEqual(live.Values.Select(each => each.Segment!.Name)), "the pruned segments go");
            await bench.AssertNothingElseIsStoredAsync();
        }

        await bench.RestoreAndRunOnAsync(2);
        await bench.RestoreAndRunOnAsync(6);
        Assert.Null(await machine.UnpinAsync(2));
        await Bench.CommittedAsync(machine);
        Assert.Equal([7, 8, 9], (await bench.Engine.Store.RecoverAsync(Bench.Vm)).Live.Keys);
    }
}
