using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;
using static Checkpoint.Kvm.Device.VcpuExitReason;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>Park, capture, resume; driven step by step, without threads.</summary>
public sealed class ParkingTests
{
    // KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR: exits that the handler answers although no name is given to them.
    private const VcpuExitReason X86ReadMsr = (VcpuExitReason)29;
    private const VcpuExitReason X86WriteMsr = (VcpuExitReason)30;

    [Fact]
    public void A_runner_begins_parked_and_enters_no_guest_unasked() => new Rig().Steps(3).Did();

    [Fact]
    public void A_resume_is_told_before_the_guest_is_entered() => new Rig().Resumed().Did("resumed 1", "run");

    [Fact]
    public void Each_step_enters_the_guest_once_and_handles_its_exit() =>
        new Rig(Halt, Io, Mmio).Resumed().Did("resumed 1", "run", "exit Halt")
            .Steps().Did("run", "exit Io")
            .Steps().Did("run", "exit Mmio");

    [Fact]
    public void An_interruption_without_a_request_enters_the_guest_again() =>
        new Rig(Interrupted, Interrupted, Halt).Resumed().Steps(2).Did("resumed 1", "run", "run", "run", "exit Halt");

    [Fact]
    public void A_request_kicks_the_vcpu_that_may_be_in_the_guest()
    {
        var rig = new Rig().Resumed();
        var before = rig.Vcpu.Kicks;
        rig.Runner.RequestPark(2);
        Assert.Equal(before + 1, rig.Vcpu.Kicks);
    }

    [Fact]
    public void A_vcpu_whose_last_entry_was_interrupted_parks_without_entering_the_guest()
    {
        var rig = new Rig(Io, Interrupted).Resumed().Steps().Did("resumed 1", "run", "exit Io", "run");
        rig.Runner.RequestPark(2);
        rig.Steps().Did("parked 2").Steps(2).Did();
    }

    [Theory]
    [InlineData(Io)]
    [InlineData(Mmio)]
    [InlineData(Hypercall)]
    [InlineData(Halt)]
    [InlineData(InterruptWindowOpen)]
    [InlineData(SystemEvent)]
    [InlineData(Unknown)]
    [InlineData(X86ReadMsr)]
    [InlineData(X86WriteMsr)]
    public void Whatever_the_handler_answered_reaches_the_guest_before_the_vcpu_is_parked(VcpuExitReason pending)
    {
        var rig = new Rig(pending, Interrupted).Resumed().Did("resumed 1", "run", $"exit {pending}");
        rig.Runner.RequestPark(2);
        rig.Steps().Did("finish", "parked 2");
        Assert.False(rig.Vcpu.ImmediateExit);
    }

    [Fact]
    public void A_vcpu_that_was_finished_for_a_park_is_not_finished_for_the_next()
    {
        var rig = new Rig(Halt, Interrupted).Resumed();
        rig.Runner.RequestPark(2);
        rig.Steps().Did("resumed 1", "run", "exit Halt", "finish", "parked 2");
        rig.Runner.RequestPark(3);
        rig.Steps().Did("parked 3");
    }

    [Fact]
    public void An_access_in_several_parts_is_handled_part_by_part_until_it_is_finished()
    {
        var rig = new Rig(Io, Io, Mmio, Mmio, Interrupted).Resumed().Did("resumed 1", "run", "exit Io");
        rig.Runner.RequestPark(2);
        rig.Steps().Did("finish", "exit Io", "finish", "exit Mmio", "finish", "exit Mmio", "finish", "parked 2");
        Assert.False(rig.Vcpu.ImmediateExit);
    }

    [Fact]
    public void Io_that_was_finished_once_is_not_finished_again()
    {
        var rig = new Rig(Io, Interrupted).Resumed().Steps().Did("resumed 1", "run", "exit Io", "run");
        rig.Runner.RequestPark(2);
        rig.Steps().Did("parked 2");
        rig.Runner.RequestPark(3);
        rig.Steps().Did("parked 3");
    }

    [Fact]
    public void A_parked_vcpu_that_is_asked_again_says_again_that_it_is_parked()
    {
        var rig = new Rig();
        rig.Runner.RequestPark(7);
        rig.Steps().Did("parked 7");
    }

    [Fact]
    public void After_a_resume_the_guest_is_entered_without_immediate_exit()
    {
        var rig = new Rig(Io, Interrupted, Halt).Resumed();
        rig.Runner.RequestPark(2);
        rig.Steps().Did("resumed 1", "run", "exit Io", "finish", "parked 2");
        rig.Runner.RequestResume(3);
        rig.Steps().Did("resumed 3", "run", "exit Halt");
    }

    [Fact]
    public void A_parked_vcpu_is_captured_where_it_stands()
    {
        var rig = new Rig().Resumed();
        rig.Runner.RequestPark(2);
        rig.Steps();
        rig.Runner.RequestCapture(3);
        rig.Steps().Did("resumed 1", "run", "parked 2", "capture", "captured 3").Steps(2).Did();
    }

    [Fact]
    public void A_capture_that_fails_leaves_the_vcpu_parked_and_ready_to_run()
    {
        var rig = new Rig(Halt) { OnCapture = () => throw new KvmException("KVM_GET_XSAVE2", 5, 0) };
        rig.Runner.RequestCapture(2);
        rig.Steps(2).Did("capture", "failed 2: KVM_GET_XSAVE2 failed on vCPU 0: EIO");
        rig.OnCapture = () => { };
        rig.Runner.RequestCapture(3);
        rig.Steps().Did("capture", "captured 3");
        rig.Runner.RequestResume(4);
        rig.Steps().Did("resumed 4", "run", "exit Halt");
    }

    [Fact]
    public void A_request_made_in_the_exit_handler_is_answered_before_the_guest_is_entered_again()
    {
        var rig = new Rig(Io, Interrupted, Halt);
        rig.OnExit = _ =>
        {
            rig.Runner.RequestPark(2);
            return ExitAction.Continue;
        };
        rig.Resumed().Did("resumed 1", "run", "exit Io").Steps().Did("finish", "parked 2");
    }

    [Fact]
    public void A_request_made_by_whoever_hears_a_report_is_answered_before_the_guest_is_entered()
    {
        var rig = new Rig();
        rig.OnReport = line =>
        {
            if (line == "resumed 1")
                rig.Runner.RequestPark(2);
        };
        rig.Resumed().Did("resumed 1").Steps().Did("parked 2");
    }

    [Fact]
    public void A_park_that_is_overtaken_by_a_resume_is_not_told()
    {
        var rig = new Rig().Resumed().Did("resumed 1", "run");
        rig.Runner.RequestPark(2);
        rig.Runner.RequestResume(3);
        rig.Steps().Did("resumed 3", "run");
    }

    [Fact]
    public void A_resume_that_comes_while_pending_io_is_finished_follows_the_park()
    {
        var rig = new Rig(Io, Io, Interrupted).Resumed().Did("resumed 1", "run", "exit Io");
        rig.OnExit = _ =>
        {
            rig.Runner.RequestResume(3);
            return ExitAction.Continue;
        };
        rig.Runner.RequestPark(2);
        rig.Steps().Did("finish", "exit Io", "finish", "parked 2").Steps().Did("resumed 3", "run");
    }

    [Fact]
    public void A_capture_that_is_overtaken_by_a_resume_reads_nothing()
    {
        var rig = new Rig();
        rig.Runner.RequestCapture(2);
        rig.Runner.RequestResume(3);
        rig.Steps().Did("resumed 3", "run");
    }

    [Fact]
    public void A_resume_that_is_overtaken_by_a_park_enters_no_guest()
    {
        var rig = new Rig();
        rig.Runner.RequestResume(2);
        rig.Runner.RequestPark(3);
        rig.Steps().Did("parked 3");
    }

    [Fact]
    public void A_vcpu_that_runs_is_not_captured()
    {
        var rig = new Rig().Resumed();
        rig.Runner.RequestCapture(2);
        Assert.Throws<System.Diagnostics.UnreachableException>(() => rig.Runner.Step());
        rig.Did("resumed 1", "run");
    }

    [Fact]
    public void A_runner_has_the_index_of_its_vcpu() => Assert.Equal(0, new Rig().Runner.Index);
}
