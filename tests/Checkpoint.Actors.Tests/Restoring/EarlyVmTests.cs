using System.Collections.Concurrent;
using Checkpoint.Actors.Hosting;
using Checkpoint.Actors.Restoring;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Tests.Machines;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests.Restoring;

/// <summary>The VM that is created before anybody knows what for.</summary>
public sealed class EarlyVmTests
{
    [Fact]
    public async Task A_restore_creates_one_vm_and_disposes_of_it_with_the_machine()
    {
        await using var engine = await StoredAsync();
        var calls = new ConcurrentQueue<string>();
        using var watched = new WatchedKvm(new SimulatedKvm(), calls.Enqueue);
        using (await engine.RestoreAsync(watched, new CheckpointReference.Latest("a")))
        {
            Assert.Single(calls, call => call == "KVM_CREATE_VM");
            Assert.Contains("vm", watched.Open);
        }

        Assert.Empty(watched.Open);
    }

    [Fact]
    public async Task What_a_restore_that_finds_nothing_did_not_need_is_disposed_of()
    {
        await using var engine = await StoredAsync();
        using var gate = new ManualResetEventSlim();
        var calls = new ConcurrentQueue<string>();
        using var watched = new WatchedKvm(new SimulatedKvm(), call =>
        {
            calls.Enqueue(call);
            gate.Wait();
        });
        var restoring = engine.RestoreAsync(watched, new CheckpointReference.Numbered("a", 9));
        await Eventually.IsTrueAsync(() => !calls.IsEmpty, "a VM is being created");
        gate.Set();
        var refused = await Assert.ThrowsAsync<StoreException>(() => restoring);
        Assert.Contains("there is no checkpoint a@9", refused.Message, StringComparison.Ordinal);
        Assert.Empty(watched.Open);
    }

    [Fact]
    public async Task It_is_given_once()
    {
        using var watched = new WatchedKvm(new SimulatedKvm(), _ => { });
        await using (var early = new EarlyVm(watched, EngineThreads.Own))
        {
            using var vm = await early.TakeAsync();
            Assert.NotNull(vm);
            Assert.Null(await early.TakeAsync());
            await early.DisposeAsync();
            Assert.Equal(["vm"], watched.Open);
        }

        Assert.Empty(watched.Open);
    }

    [Fact]
    public async Task A_kernel_that_creates_no_vm_is_told_of_as_always()
    {
        await using var engine = await StoredAsync();
        using var watched = new WatchedKvm(new SimulatedKvm(), call => throw new KvmException(call, Errno.ENOMEM));
        var refused = await Assert.ThrowsAsync<KvmException>(() => engine.RestoreAsync(watched, new CheckpointReference.Latest("a")));
        Assert.Equal(("KVM_CREATE_VM", Errno.ENOMEM), (refused.Request, refused.Errno));
        await Assert.ThrowsAsync<StoreException>(() => engine.RestoreAsync(watched, new CheckpointReference.Latest("b")));
    }

    private static async Task<CheckpointEngine> StoredAsync()
    {
        var engine = CheckpointEngine.Open(new StoreOptions("memory:"));
        using var kvm = new SimulatedKvm();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, MemoryBytes = 1 << 20 });
        await using var machine = await engine.AttachAsync("a", new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
        await Bench.CommittedAsync(machine);
        return engine;
    }
}
