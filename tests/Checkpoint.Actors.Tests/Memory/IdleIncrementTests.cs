using System.Buffers;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Actors.Tests.Memory;

/// <summary>What a checkpoint of a guest costs that has much memory and does next to nothing.</summary>
[Collection(GuestCollection.Name)]
public sealed class IdleIncrementTests
{
    private const int MemoryBytes = 64 << 20;
    private const int NoiseBytes = 32 << 20;
    private const long MostBytes = 64 << 10;

    [Fact]
    public async Task An_idle_guest_of_the_simulated_kernel_costs_less_than_64_KiB_a_checkpoint()
    {
        await using var bench = Bench.Open(isOnDisk: true, host: new SimulatedKvm());
        await AssertSmallAsync(bench);
    }

    [KvmFact]
    public async Task An_idle_guest_costs_less_than_64_KiB_a_checkpoint()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        await AssertSmallAsync(bench);
    }

    private static async Task AssertSmallAsync(Bench bench)
    {
        using var guest = GuestMachine.Create(bench.Host, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 42, MemoryBytes = MemoryBytes });
        guest.Machine.Memory.Fill(MemoryBytes - NoiseBytes, NoiseBytes, new Random(1), static (span, random) => random.NextBytes(span));
        await using var machine = await bench.AttachAsync(guest, Bench.Patient() with { Mode = CheckpointMode.Incremental });
        var whole = await Bench.CommittedAsync(machine);
        Assert.True(Stored(bench, whole) > NoiseBytes);

        // Nobody runs and nobody writes.
        for (var i = 0; i < 3; i++)
        {
            var committed = await Bench.CommittedAsync(machine);
            Assert.InRange(Stored(bench, committed) + committed.State.SizeBytes, 1, MostBytes);
        }

        // The vCPUs pass tokens through a few pages. The first time what they only read counts as written, too.
        machine.Start();
        await Bench.CommittedAsync(machine);
        for (var i = 0; i < 5; i++)
        {
            await Task.Delay(5);
            var committed = await Bench.CommittedAsync(machine);
            Assert.Equal(CheckpointMode.Incremental, committed.Mode);
            Assert.InRange(Stored(bench, committed), 1, MostBytes);
        }
    }

    // The segment's file and the event.
    private static long Stored(Bench bench, MachineEvent.CheckpointCommitted committed)
    {
        var bytes = new ArrayBufferWriter<byte>();
        EventCodec.Encode(Digest.Zero, committed, bytes);
        return new FileInfo(Path.Combine(bench.MachineFolder, committed.Segment!.Name)).Length + bytes.WrittenCount;
    }
}
