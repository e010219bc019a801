using Checkpoint.Actors.Restoring;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests.Restoring;

/// <summary>Machines whose memory comes in while they run.</summary>
[Collection(GuestCollection.Name)]
public sealed class LazyRestoreTests
{
    private const int MemoryBytes = 48 << 20;
    private const ulong Noise = 16 << 20;

    private static readonly CoordinatorOptions s_incremental = Bench.Patient() with { Mode = CheckpointMode.Incremental, MaxChain = 16 };

    [LazyFact]
    public async Task A_restore_on_kvm_is_lazy_unless_asked_otherwise_and_the_memory_is_the_same()
    {
        await using var bench = await StoredAsync();
        using var eager = await bench.RestoreAsync(3, fill: MemoryFill.Eager);
        using var lazy = await bench.RestoreAsync(3);
        Assert.Equal((MemoryFill.Eager, MemoryFill.Lazy, null), (eager.Fill, lazy.Fill, lazy.FillObstacle));
        Assert.Null(eager.Filling);
        AssertSameMemory(eager, lazy);
        await lazy.Filling!.Ended.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Null(lazy.Filling.Failure);
    }

    [Fact]
    public async Task A_simulated_machine_is_filled_eagerly_unless_asked_otherwise()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using (var guest = GuestMachine.Create(bench.Host, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 3 }))
        {
            await using var machine = await bench.AttachAsync(guest);
            machine.Start();
            await Bench.CommittedAsync(machine);
        }

        using var eager = await bench.RestoreAsync(1);
        using var lazy = await bench.RestoreAsync(1, fill: MemoryFill.Lazy);
        Assert.Equal((MemoryFill.Eager, MemoryFill.Lazy), (eager.Fill, lazy.Fill));
        AssertSameMemory(eager, lazy);
        await bench.RestoreAndRunOnAsync(1);
    }

    [LazyFact]
    public async Task A_checkpoint_taken_while_memory_comes_in_holds_all_of_it()
    {
        await using var bench = await StoredAsync();
        using (var restored = await bench.RestoreAsync(3, fill: MemoryFill.Lazy))
        {
            var guest = Bench.GuestOf(restored);
            await using var machine = await bench.AttachAsync(guest, s_incremental, from: restored);
            await Bench.CommittedAsync(machine);
            machine.Start();
            await Bench.CommittedAsync(machine);
        }

        using var original = await bench.RestoreAsync(3, fill: MemoryFill.Eager);
        using var copy = await bench.RestoreAsync(4, fill: MemoryFill.Eager);
        AssertSameMemory(original, copy);
        await bench.RestoreAndRunOnAsync(5);
    }

    [LazyFact]
    public async Task A_page_damaged_in_the_store_ends_the_vcpus_by_checkpoint_segment_and_guest_address()
    {
        await using var bench = await StoredAsync();
        var damaged = await DamageAsync(bench, Noise + 0x5000);
        using var restored = await bench.RestoreAsync(3, fill: MemoryFill.Lazy);
        var guest = Bench.GuestOf(restored);
        await using var running = await bench.Engine.RunAsync(restored, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
        running.Start();
        var reason = await running.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.EndsWith($"could not run: guest memory cannot be brought in: {damaged}", reason, StringComparison.Ordinal);
        await running.StopAsync();
        var lost = Assert.Throws<GuestMemoryException>(() => restored.Machine.Memory.Read(Noise, new byte[8]));
        Assert.Equal(damaged, Assert.IsType<IntegrityException>(lost.InnerException).Message);
    }

    [LazyFact]
    public async Task No_checkpoint_is_taken_of_memory_that_cannot_all_be_brought_in()
    {
        await using var bench = await StoredAsync();
        var damaged = await DamageAsync(bench, Noise + 0x5000);
        using var restored = await bench.RestoreAsync(3, fill: MemoryFill.Lazy);
        var guest = Bench.GuestOf(restored);
        await using var machine = await bench.AttachAsync(guest, from: restored);
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal("machine", aborted.Abort.Participant);
        Assert.Contains(damaged, aborted.Abort.Reason, StringComparison.Ordinal);
    }

    [LazyFact]
    public async Task Segments_that_are_pruned_while_they_are_read_are_read_to_their_end()
    {
        await using var bench = await StoredAsync();
        using var eager = await bench.RestoreAsync(3, fill: MemoryFill.Eager);
        var (_, checkpoint) = await bench.Engine.FindAsync(new CheckpointReference.Numbered(Bench.Vm, 3));
        using var machine = MachineBuilder.Create(bench.Host, eager.Machine.Description);
        var stored = await bench.Engine.Store.OpenMemoryAsync(Bench.Vm, checkpoint);
        Assert.Equal(3, stored.Segments);
        Assert.True(machine.Memory.TryFillLazily(new StoredPages(stored), out _));
        using (var held = bench.Engine.Store.Lock(Bench.Vm))
        {
            foreach (var name in bench.SegmentFiles)
                bench.Engine.Store.Segments.Delete(held, name);
        }

        Assert.Empty(bench.SegmentFiles);
        machine.Memory.Filling!.FillRest();
        AssertSameMemory(eager.Machine.Memory, machine.Memory);
        Assert.Empty(OpenFiles());
    }

    [LazyFact]
    public async Task Four_clones_at_once_go_on_each_by_itself_and_with_its_own_generation()
    {
        await using var bench = await StoredAsync();
        var clones = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => bench.RestoreAsync(3, fill: MemoryFill.Lazy)));
        Assert.Equal(4, clones.Select(clone => clone.GenerationId).Distinct().Count());
        await Task.WhenAll(clones.Select(async clone =>
        {
            using (clone)
            {
                var guest = Bench.GuestOf(clone);
                var at = guest.Verify(clone.Document.Vcpus);
                Assert.Equal([], at.Failures);
                var exits = new ExitProbe(guest, guest.Machine.Vcpus.Length);
                await using var running = await bench.Engine.RunAsync(clone, new MachineAttachment(guest.Machine, exits) { Devices = [new GuestDevice(guest)] });
                running.Start();
                await exits.AllVcpusGoOnAsync();
                await running.StopAsync();
                Assert.Equal([], guest.Verify().FailuresSince(at));
            }
        }));
    }

    [LazyFact]
    public async Task Machines_disposed_of_while_memory_comes_in_leave_no_thread_fd_or_file()
    {
        await using var bench = await StoredAsync();
        var threads = OwnThreads.Names().Length;
        for (var i = 0; i < 10; i++)
        {
            var restored = await bench.RestoreAsync(3, fill: MemoryFill.Lazy);
            if (i % 2 == 0)
            {
                restored.Filling!.Demand(Noise, 1);
                restored.Dispose();
                continue;
            }

            using (restored)
            {
                var guest = Bench.GuestOf(restored);
                await using var running = await bench.Engine.RunAsync(restored, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
                running.Start();
            }
        }

        await Eventually.IsTrueAsync(() => OwnThreads.Names().Length <= threads, "the threads of the fillings end");
        Assert.Empty(OpenFiles());
    }

    [LazyFact]
    public async Task A_restore_whose_machine_cannot_be_built_leaves_no_file_open()
    {
        await using var bench = await StoredAsync();
        var faults = new FaultPlan();
        faults.On("KVM_CREATE_VCPU", call: 2).Fail(Errno.ENOMEM);
        using var kvm = new FaultyKvm(SystemHandle.Open(), faults);
        await Assert.ThrowsAsync<KvmException>(() => bench.Engine.RestoreAsync(kvm, new CheckpointReference.Numbered(Bench.Vm, 3)));
        Assert.Empty(OpenFiles());
    }

    [Fact]
    public async Task No_log_is_kept_of_a_machine_of_which_no_checkpoints_are_taken()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        using (var guest = GuestMachine.Create(bench.Host, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 3 }))
        {
            await using var machine = await bench.AttachAsync(guest);
            Assert.NotNull(guest.Machine.Memory.Written);
            await Bench.CommittedAsync(machine);
        }

        using var restored = await bench.RestoreAsync(1);
        var copy = Bench.GuestOf(restored);
        await using var running = await bench.Engine.RunAsync(restored, new MachineAttachment(copy.Machine, copy) { Devices = [new GuestDevice(copy)] });
        running.Start();
        Assert.Null(copy.Machine.Memory.Written);
    }

    /// <summary>Three checkpoints of a chain, of a guest with much memory that it does not touch.</summary>
    private static async Task<Bench> StoredAsync()
    {
        var bench = Bench.Open();
        using var guest = GuestMachine.Create(bench.Host, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 42, MemoryBytes = MemoryBytes });
        var noise = new byte[MemoryBytes - (int)Noise - (4 << 20)];
        new Random(1).NextBytes(noise);
        guest.Machine.Memory.Write(Noise, noise);
        await using var machine = await bench.AttachAsync(guest, s_incremental);
        machine.Start();
        await Bench.CommittedAsync(machine);
        guest.Machine.Memory.Write(Noise + 0x5000, new byte[8]);
        await Bench.CommittedAsync(machine);
        guest.Machine.Memory.Write(Noise + 0x40_0000, new byte[0x2000]);
        await Bench.CommittedAsync(machine);
        return bench;
    }

    /// <summary>Changes one byte of a page in the segment that holds it, and says what is to be said of it.</summary>
    private static async Task<string> DamageAsync(Bench bench, ulong guestAddress)
    {
        using (var restored = await bench.RestoreAsync(3, fill: MemoryFill.Eager))
        {
            var page = new byte[4096];
            restored.Machine.Memory.Read(guestAddress, page);
            var path = Path.Combine(bench.MachineFolder, bench.SegmentFiles[1]);
            var bytes = await File.ReadAllBytesAsync(path);
            var at = bytes.AsSpan().IndexOf(page);
            Assert.True(at > 0);
            bytes[at + 77] ^= 1;
            await File.WriteAllBytesAsync(path, bytes);
        }

        return $"machine 'a', checkpoint 2, segment {bench.SegmentFiles[1]} is damaged: the page at guest address 0x{guestAddress:x} does not have its checksum";
    }

    /// <summary>What fillings hold open in this process.</summary>
    private static IEnumerable<string> OpenFiles() => Directory.GetFiles("/proc/self/fd")
        .Select(fd => File.ResolveLinkTarget(fd, returnFinalTarget: false)?.FullName ?? "")
        .Where(name => name.Contains("userfaultfd", StringComparison.Ordinal) || name.Contains(".seg", StringComparison.Ordinal));

    private static void AssertSameMemory(RestoredMachine one, RestoredMachine other) => AssertSameMemory(one.Machine.Memory, other.Machine.Memory);

    private static void AssertSameMemory(IGuestMemory one, IGuestMemory other)
    {
        var (a, b) = (new byte[1 << 20], new byte[1 << 20]);
        var region = Assert.Single(one.Regions);
        for (var address = 0UL; address < region.SizeBytes; address += (ulong)a.Length)
        {
            one.Read(address, a);
            other.Read(address, b);
            Assert.True(a.AsSpan().SequenceEqual(b), $"The memory from 0x{address:x} on differs.");
        }
    }
}
