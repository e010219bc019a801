using System.Collections.Immutable;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests.Faults;

/// <summary>A stop that does not wait for ever leaves nothing half done and nobody without an answer.</summary>
[Collection(GuestCollection.Name)]
public sealed class StopTests : IDisposable
{
    private const ulong Page = 4096;

    private readonly FaultPlan _faults = new(seed: 1);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("checkpoint-test-");
    private readonly SimulatedKvm _kvm = new(new SimulatedKvmOptions());

    [Fact]
    public async Task A_checkpoint_whose_storing_outlasts_the_stop_has_all_its_pages_when_it_is_acknowledged()
    {
        await using var engine = Open();
        using var hang = new Hang();
        using var guest = Guest();
        var memory = guest.Machine.Memory;
        // Every other page, so that the segment has many runs.
        var pages = Enumerable.Range(0, 512).Select(i => guest.Program.UsedMemoryBytes + (2 * (ulong)i * Page)).ToImmutableArray();
        foreach (var address in pages)
            memory.Write(address, BitConverter.GetBytes(address));
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Resume) hang.Enter(); } };
        var stopping = new CoordinatorOptions { StopDeadline = TimeSpan.FromMilliseconds(50), ResumeDeadline = TimeSpan.FromMilliseconds(50) };
        await using var machine = await engine.AttachAsync(
            Bench.Vm, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest), device], Options = stopping });
        machine.Start();
        var storing = HangsAt(FaultCalls.FileWrite);
        var round = machine.CheckpointAsync();
        await storing;

        // The machine's thread has ended, the device's has not: the stop waits for that one, and the disk goes on meanwhile.
        var stop = machine.StopAsync();
        await machine.Coordinator.Host.Machine.Ended.WaitAsync(TimeSpan.FromSeconds(60));
        _faults.Disarm();
        var committed = Assert.IsType<CheckpointOutcome.Committed>(await round.WaitAsync(TimeSpan.FromSeconds(60))).Checkpoint;
        hang.End();
        await stop;

        Assert.True(committed.MemoryBytes > pages.Length * (long)Page);
        using var restored = await engine.RestoreAsync(_kvm, new CheckpointReference.Numbered(Bench.Vm, committed.Number));
        var found = new byte[sizeof(ulong)];
        foreach (var address in pages)
        {
            restored.Machine.Memory.Read(address, found);
            Assert.Equal(address, BitConverter.ToUInt64(found));
        }
    }

    [Fact]
    public async Task Whoever_asked_for_a_checkpoint_that_a_stop_did_not_wait_for_is_answered()
    {
        await using var engine = Open();
        using var guest = Guest();
        await using var machine = await engine.AttachAsync(
            Bench.Vm,
            new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)], Options = new CoordinatorOptions { StopDeadline = TimeSpan.FromMilliseconds(50) } });
        machine.Start();
        var storing = HangsAt(FaultCalls.JournalAppend);
        var round = machine.CheckpointAsync();
        await storing;
        await machine.StopAsync().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(new Refusal.Stopping(), Assert.IsType<CheckpointOutcome.Refused>(await round.WaitAsync(TimeSpan.FromSeconds(60))).Obstacle);
        _faults.Disarm();
    }

    [Fact]
    public async Task A_vcpu_that_a_stop_has_left_behind_is_named()
    {
        var time = new ManualTime();
        await using var engine = Open(time);
        using var hang = new Hang();
        using var guest = Guest();
        var exits = new ExitProbe(guest, 2);
        exits.On = (vcpu, _) => { if (vcpu == 1) hang.Enter(); };
        await using var machine = await engine.AttachAsync(Bench.Vm, new MachineAttachment(guest.Machine, exits) { Devices = [new GuestDevice(guest)] });
        machine.Start();
        await hang.Begun;
        var stop = machine.StopAsync();
        while (!stop.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(1);
        }

        Assert.Equal("vcpu 1", Assert.Single(machine.LeftBehind));
        Assert.Equal("vcpu 1 has not stopped within 5000 ms", await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(60)));
        hang.End();
        await machine.Coordinator.Host.Actors[1].Ended.WaitAsync(TimeSpan.FromSeconds(60));
    }

    public void Dispose()
    {
        _faults.Disarm();
        _kvm.Dispose();
        _folder.Delete(recursive: true);
    }

    // Ends when the first of these calls has begun to hang.
    private Task HangsAt(string call)
    {
        var hangs = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _faults.Injected += _ => hangs.TrySetResult();
        _faults.On(call, call: 1).Hang();
        return hangs.Task;
    }

    private CheckpointEngine Open(TimeProvider? time = null) =>
        CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(_folder.FullName, "store.db")) { Faults = _faults }, time);

    private GuestMachine Guest() => GuestMachine.Create(_kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 2, ExitEverySteps = 1 << 10, MemoryBytes = 8 << 20 });
}
