using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;

namespace FaultInjection;

/// <summary>Each test makes one thing go wrong, asks that it was met, and says what the tool must still be able to do.</summary>
public sealed class MeteredExitsTests
{
    [Fact]
    public async Task A_kernel_that_refuses_a_register_costs_one_checkpoint_and_the_meter_runs_on()
    {
        await using var lab = new Lab();
        await using var machine = await lab.StartAsync();
        var refused = lab.Faults.On("KVM_GET_MSRS", vcpu: 1, call: 1).Fail(Errno.EINVAL, afterRegisters: 5);

        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal((1, "vcpu 1"), (refused.Hits, aborted.Abort.Participant));
        await lab.EverybodyGoesOnAsync();
        Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync());
    }

    [Fact]
    public async Task A_handler_that_waits_is_named_and_the_other_vcpu_does_not_wait_for_it()
    {
        await using var lab = new Lab();
        await using var machine = await lab.StartAsync(Lab.Deadlines with { ParkDeadline = TimeSpan.FromMilliseconds(200) });
        var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lab.Faults.Injected += _ => met.TrySetResult();
        lab.Faults.On("exit.handle", vcpu: 0, call: 1).Hang();
        await met.Task;

        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal("vcpu 0", aborted.Abort.Participant);
        lab.Faults.Disarm();
        await lab.EverybodyGoesOnAsync();
    }

    [Fact]
    public async Task A_meter_that_cannot_be_captured_aborts_the_checkpoint_and_is_asked_again()
    {
        await using var lab = new Lab();
        await using var machine = await lab.StartAsync();
        lab.Faults.On("device.capture", call: 1).Fail(Errno.EIO);
        Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal("device meter", Assert.Single(lab.Faults.Counts).Participant);
        Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync());
    }

    [Fact]
    public async Task A_lost_connection_after_the_commit_is_a_checkpoint_and_the_tool_hears_what_happened()
    {
        await using var lab = new Lab();
        await using var machine = await lab.StartAsync();
        var log = new List<string>();
        machine.Noticed += (_, notice) => log.Add(notice.GetType().Name);
        lab.Faults.On("journal.append", call: 1).LoseConnectionAfterCommit();
        lab.Faults.On("journal.prove", call: 1).Fail(Errno.EIO);

        Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync());
        Assert.Equal(["AppendUnknown", "StoreAway", "StoreBack"], log);
    }

    [Fact]
    public async Task After_a_triple_fault_the_last_checkpoint_goes_on_with_what_the_meter_had()
    {
        await using var lab = new Lab();
        var machine = await lab.StartAsync();
        await lab.EverybodyGoesOnAsync();
        var last = Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync()).Checkpoint;
        lab.Faults.On("KVM_RUN", vcpu: 1, call: 1).TripleFault();
        Assert.Equal("vcpu 1 shut down: the guest raised a triple fault", await machine.ParticipantEnded.WaitAsync(TimeSpan.FromSeconds(60)));
        await machine.DisposeAsync();

        using var restored = await lab.Engine.RestoreAsync(lab.Kvm, new CheckpointReference.Numbered("tool-1", last.Number));
        var guest = GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
        var exits = new MeteredExits(guest, Lab.Vcpus);
        exits.Restore(restored.DeviceStateOf("meter").Span);
        Assert.True(guest.Verify(restored.Document.Vcpus).Ok);
        Assert.All(Enumerable.Range(0, Lab.Vcpus), vcpu => Assert.InRange(exits.UsedBy(vcpu), 1, lab.Exits.UsedBy(vcpu)));
    }

    [Fact]
    public async Task A_full_disk_leaves_the_checkpoint_before_it_as_it_was()
    {
        await using var lab = new Lab();
        await using var machine = await lab.StartAsync();
        Assert.IsType<CheckpointOutcome.Committed>(await machine.CheckpointAsync());
        var full = lab.Faults.On("pwrite").Fail(Errno.ENOSPC);
        Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.True(full.Hits > 0);
        lab.Faults.Disarm();
        var report = await lab.Engine.Store.VerifyAsync();
        Assert.Equal((1, 0), (report.Checkpoints, report.Damages.Count));
    }
}
