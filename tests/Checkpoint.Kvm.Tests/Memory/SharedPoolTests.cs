using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Kvm.Tests.Memory;

/// <summary>Two machines and a buffer that has room for one of them.</summary>
public sealed class SharedPoolTests
{
    private const int MemoryBytes = 8 << 20;

    [Fact]
    public async Task A_machine_waits_for_room_until_the_checkpoint_of_another_is_over()
    {
        using var kvm = new SimulatedKvm();
        using var first = Create(kvm);
        using var second = Create(kvm);
        var pool = new PagePool(MemoryBytes + (4 << 20));
        using var stored = new MemoryCapture(first.Machine, pool);
        using var waiting = new MemoryCapture(second.Machine, pool);
        for (var round = 0; round < 3; round++)
        {
            stored.Prepare(CheckpointMode.Full);
            stored.Capture();
            var isOver = false;
            using var begins = new ManualResetEventSlim();
            var preparation = Task.Run(() =>
            {
                begins.Set();
                waiting.Prepare(CheckpointMode.Full);
                return Volatile.Read(ref isOver);
            });
            begins.Wait();
            Thread.SpinWait(200_000);
            // The disk was slow until here.
            Volatile.Write(ref isOver, true);
            stored.Settle(isCommitted: true);
            Assert.True(await preparation.WaitAsync(TimeSpan.FromSeconds(60)), "The second machine found room while the first one's copies lay in the buffer.");
            waiting.Capture();
            waiting.Settle(isCommitted: true);
        }
    }

    [Fact]
    public async Task A_wait_for_room_can_be_ended_and_takes_nothing_with_it()
    {
        using var kvm = new SimulatedKvm();
        using var first = Create(kvm);
        using var second = Create(kvm);
        var pool = new PagePool(MemoryBytes + (4 << 20));
        using var stored = new MemoryCapture(first.Machine, pool);
        using var waiting = new MemoryCapture(second.Machine, pool);
        stored.Prepare(CheckpointMode.Full);
        using var end = new CancellationTokenSource();
        var preparation = Task.Run(() => waiting.Prepare(CheckpointMode.Full, null, end.Token));
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => preparation.WaitAsync(TimeSpan.FromSeconds(60)));
        waiting.Settle(isCommitted: false);
        stored.Settle(isCommitted: false);
        waiting.Prepare(CheckpointMode.Full);
        waiting.Capture();
        Assert.True(waiting.Pages > 0);
    }

    private static GuestMachine Create(SimulatedKvm kvm) =>
        GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 3, MemoryBytes = MemoryBytes });
}
