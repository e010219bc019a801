using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests.Memory;

/// <summary>Machines that write faster than the disk takes, and a buffer that has room for one of them and a half.</summary>
[Collection(GuestCollection.Name)]
public sealed class MemoryPressureTests : IDisposable
{
    private const int MemoryBytes = 4 << 20;

    private readonly FaultPlan _faults = new(seed: 1);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("checkpoint-test-");
    private readonly SimulatedKvm _kvm = new(new SimulatedKvmOptions());
    private readonly PagePool _pool = new(MemoryBytes + (MemoryBytes / 2));
    private readonly PagePool _elsewhere = new(MemoryBytes);

    [Fact]
    public async Task The_next_machine_waits_while_the_disk_hangs_and_takes_no_memory_for_it()
    {
        await using var engine = Open();
        using var first = Guest();
        using var second = Guest();
        using var third = Guest();
        await using var storing = await AttachAsync(engine, "storing", first, _pool);
        await using var waiting = await AttachAsync(engine, "waiting", second, _pool);
        await using var passing = await AttachAsync(engine, "passing", third, _elsewhere);

        var hangs = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _faults.Injected += _ => hangs.TrySetResult();
        _faults.On(FaultCalls.FileWrite, call: 2).Hang();
        var stored = storing.CheckpointAsync();
        await hangs.Task;
        var held = _pool.ResidentBytes;
        Assert.InRange(held, MemoryBytes, _pool.LimitBytes);

        var isOver = false;
        var next = CheckpointAsync(waiting, () => Volatile.Read(ref isOver));
        // Meanwhile whoever needs none of this buffer goes on: that is how long the other one waits.
        for (var i = 0; i < 5; i++)
            await Bench.CommittedAsync(passing);
        Assert.Equal(RoundPhase.Preparing, waiting.Phase);
        Assert.Equal(held, _pool.ResidentBytes);

        Volatile.Write(ref isOver, true);
        _faults.Disarm();
        Assert.IsType<CheckpointOutcome.Committed>(await stored);
        Assert.True(await next.WaitAsync(TimeSpan.FromSeconds(60)), "A checkpoint was taken while there was no room for it.");
    }

    [Fact]
    public async Task However_many_machines_write_all_of_their_memory_again_and_again_the_buffer_stays_in_its_bounds()
    {
        await using var engine = Open();
        _faults.On(FaultCalls.FileSync).Delay(TimeSpan.FromMilliseconds(5));
        using var guests = new GuestsOfATest(Enumerable.Range(0, 4).Select(_ => Guest()));
        var most = 0L;
        _faults.Injected += _ => Max(ref most, _pool.ResidentBytes);
        await Task.WhenAll(guests.Select((guest, i) => Task.Run(async () =>
        {
            await using var machine = await AttachAsync(engine, $"vm{i}", guest, _pool);
            for (var round = 0; round < 6; round++)
            {
                guest.Machine.Memory.Fill(MemoryBytes / 2, MemoryBytes / 2, (byte)(round + 1), static (span, value) => span.Fill(value));
                await Bench.CommittedAsync(machine);
            }
        })));
        Assert.InRange(Volatile.Read(ref most), MemoryBytes, _pool.LimitBytes);
    }

    public void Dispose()
    {
        _faults.Disarm();
        _kvm.Dispose();
        _folder.Delete(recursive: true);
    }

    private static async Task<bool> CheckpointAsync(AttachedMachine machine, Func<bool> look)
    {
        await Bench.CommittedAsync(machine);
        return look();
    }

    private static void Max(ref long most, long value)
    {
        for (var seen = Volatile.Read(ref most); seen < value; seen = Volatile.Read(ref most))
            Interlocked.CompareExchange(ref most, value, seen);
    }

    private CheckpointEngine Open() => CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(_folder.FullName, "store.db")) { Faults = _faults });

    private static Task<AttachedMachine> AttachAsync(CheckpointEngine engine, string vm, GuestMachine guest, PagePool pool) =>
        engine.AttachAsync(vm, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)], Options = Bench.Patient(keep: 2), Buffer = pool });

    private GuestMachine Guest()
    {
        var guest = GuestMachine.Create(_kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 1, Seed = 3, MemoryBytes = MemoryBytes });
        const int used = MemoryBytes / 8 * 3;
        // Pages of zeros take no room.
        guest.Machine.Memory.Fill(used, MemoryBytes - used, 1, static (span, value) => span.Fill((byte)value));
        return guest;
    }

    private sealed class GuestsOfATest(IEnumerable<GuestMachine> guests) : List<GuestMachine>(guests), IDisposable
    {
        public void Dispose() => ForEach(guest => guest.Dispose());
    }
}
