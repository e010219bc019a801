using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class DeviceFailureTests
{
    // For a hang that is the point; everything else ends long before it.
    private static readonly CoordinatorOptions s_impatient = new()
    {
        ParkDeadline = TimeSpan.FromMilliseconds(400),
        CaptureDeadline = TimeSpan.FromMilliseconds(400),
        ResumeDeadline = TimeSpan.FromMilliseconds(400),
    };

    [KvmTheory]
    [InlineData(DeviceCall.Park, "device probe could not park: no")]
    [InlineData(DeviceCall.Capture, "device probe could not be captured: no")]
    public async Task A_device_that_throws_aborts_the_round_by_name_and_the_next_round_works(DeviceCall where, string reason)
    {
        await using var bench = Bench.Open();
        var device = new ProbeDevice();
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, exits: exits, devices: [device]);
        machine.Start();
        await Bench.CommittedAsync(machine);

        device.On = call => { if (call == where) throw new InvalidOperationException("no"); };
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal((reason, "device probe"), (aborted.Abort.Reason, aborted.Abort.Participant));
        Assert.Equal("probe Resume", device.Log.Last());
        await exits.AllVcpusGoOnAsync();
        await AssertAbortIsAllThatIsLeftAsync(bench, aborted.Abort);

        device.On = _ => { };
        Assert.Equal(2, (await Bench.CommittedAsync(machine)).Number);
        await bench.RestoreAndRunOnAsync(2);
    }

    [KvmTheory]
    [InlineData(DeviceCall.Park, "device probe did not park within 400 ms")]
    [InlineData(DeviceCall.Capture, "device probe was not captured within 800 ms of the round's beginning")]
    public async Task A_device_that_hangs_aborts_the_round_by_name_while_the_guest_runs_on(DeviceCall where, string reason)
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == where) hang.Enter(); } };
        await AssertAbortsWhileItHangsAsync(device, hang, "device probe", reason);
    }

    [KvmFact]
    public async Task A_device_without_threads_that_hangs_keeps_no_vcpu_whichever_parked_last()
    {
        using var hang = new Hang();
        await AssertAbortsWhileItHangsAsync(new PassiveDevice(hang.Enter), hang, "machine", "machine was not captured within 800 ms of the round's beginning");
    }

    [KvmFact]
    public async Task A_device_that_does_not_say_that_it_captures_at_once_is_captured_where_no_vcpu_waits_for_it()
    {
        await using var bench = Bench.Open();
        var where = new List<string>();
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, devices: [new PassiveDevice(() => where.Add(Thread.CurrentThread.Name ?? ""))]);
        machine.Start();
        for (var round = 0; round < 20; round++)
            await Bench.CommittedAsync(machine);
        Assert.Equal(20, where.Count);
        Assert.All(where, name => Assert.Equal("machine", name));
    }

    [KvmFact]
    public async Task A_device_that_throws_in_resume_does_not_keep_the_guest_and_its_checkpoint_is_good()
    {
        await using var bench = Bench.Open();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Resume) throw new InvalidOperationException("no"); } };
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, exits: exits, devices: [device]);
        machine.Start();
        await Bench.CommittedAsync(machine);
        await exits.AllVcpusGoOnAsync();
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task A_device_that_hangs_in_resume_does_not_keep_the_guest_and_its_checkpoint_is_good()
    {
        await using var bench = Bench.Open();
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Resume) hang.Enter(); } };
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, s_impatient, exits, [device]);
        machine.Start();
        var committed = Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(15)));
        Assert.InRange(committed.Checkpoint.Timings.PauseUs, 400_000, 15_000_000);
        await exits.AllVcpusGoOnAsync();
        await bench.RestoreAndRunOnAsync(1);

        // As long as it hangs it cannot park.
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(15)));
        Assert.Equal("device probe did not park within 400 ms", aborted.Abort.Reason);
        hang.End();
        await UntilCommittedAsync(machine);
    }

    private static async Task AssertAbortsWhileItHangsAsync(IDeviceState device, Hang hang, string participant, string reason)
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        var exits = new ExitProbe(guest, 2);
        await using var machine = await bench.AttachAsync(guest, s_impatient, exits, [device]);
        machine.Start();

        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(15)));
        Assert.Equal((reason, participant), (aborted.Abort.Reason, aborted.Abort.Participant));
        Assert.True(hang.Begun.IsCompleted);
        await exits.AllVcpusGoOnAsync();
        await AssertAbortIsAllThatIsLeftAsync(bench, aborted.Abort);

        hang.End();
        await UntilCommittedAsync(machine);
        await bench.RestoreAndRunOnAsync(1);
    }

    private sealed class PassiveDevice(Action capturing) : IDeviceState
    {
        public string Name => "passive";

        public ReadOnlyMemory<byte> Capture()
        {
            capturing();
            return new byte[] { 1 };
        }
    }

    private static async Task UntilCommittedAsync(AttachedMachine machine)
    {
        // The device works off its orders first; until it has, a round may still be aborted on a loaded host.
        for (var attempt = 0; attempt < 10; attempt++)
        {
            if (await machine.CheckpointAsync().WaitAsync(TimeSpan.FromSeconds(15)) is CheckpointOutcome.Committed)
                return;
        }

        Assert.Fail("the device is back, but no round is committed");
    }

    private static async Task AssertAbortIsAllThatIsLeftAsync(Bench bench, MachineEvent.CheckpointAborted abort)
    {
        Assert.Equal(abort, (await bench.EventsAsync()).Last());
        await bench.AssertNothingElseIsStoredAsync();
    }
}
