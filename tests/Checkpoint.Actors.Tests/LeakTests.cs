namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class LeakTests
{
    [KvmFact]
    public async Task Thirty_attachments_leave_no_fds_threads_or_memory_behind()
    {
        await using var bench = Bench.Open();
        // A test before this one may have left a device that hangs; what thirty cycles leave comes on top.
        var threads = OwnThreads.Names().Length;
        await CycleAsync(bench);
        var fds = OwnThreads.Fds(bench.MachineFolder);
        var allFds = Directory.GetFiles("/proc/self/fd").Length;
        var guests = GuestMappings();
        for (var i = 0; i < 30; i++)
            await CycleAsync(bench);

        // A thread reports its end before it is gone.
        await Eventually.IsTrueAsync(() => OwnThreads.Names().Length <= threads, "the engine's threads end");
        Assert.Equal(fds, OwnThreads.Fds(bench.MachineFolder));
        // The runtime opens some for itself now and then; a leak would be thirty.
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, allFds + 10);
        Assert.InRange(GuestMappings(), 0, guests + 10);
    }

    // Each vCPU shares its kvm_run with the kernel by a mapping of its fd.
    private static int GuestMappings() => File.ReadLines("/proc/self/maps").Count(line => line.Contains("kvm-vcpu", StringComparison.Ordinal));

    private static async Task CycleAsync(Bench bench)
    {
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 1), devices: [new ProbeDevice()]);
        machine.Start();
        await Bench.CommittedAsync(machine);
        await machine.StopAsync();
    }
}
