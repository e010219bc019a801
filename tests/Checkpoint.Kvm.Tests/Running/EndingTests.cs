using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;
using static Checkpoint.Kvm.Device.VcpuExitReason;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>How a runner ends: once, with a reason, and without entering the guest again.</summary>
public sealed class EndingTests
{
    private const int Efault = 14;

    [Theory]
    [InlineData(Shutdown, 0UL, "shut down: the guest raised a triple fault")]
    [InlineData(InternalError, 3UL, "stopped: KVM_EXIT_INTERNAL_ERROR, suberror 3")]
    [InlineData(FailEntry, 0x8000_0021UL, "stopped: KVM_EXIT_FAIL_ENTRY, reason 0x80000021")]
    public void An_exit_from_which_no_guest_goes_on_ends_the_runner_with_its_reason(VcpuExitReason exit, ulong detail, string reason)
    {
        var rig = new Rig(Halt, new ScriptedExit(exit, detail), Halt).Resumed().Did("resumed 1", "run", "exit Halt")
            .StepsForTheLastTime().Did("run", $"ended: {reason}")
            .StepsForTheLastTime().StepsForTheLastTime().Did();
        Assert.Null(rig.Failure);
    }

    [Fact]
    public void A_vcpu_that_the_kernel_does_not_run_ends_with_what_the_kernel_said()
    {
        var failure = new KvmException("KVM_RUN", Efault, 0);
        var rig = new Rig(Halt, new ScriptedExit(Unknown, Thrown: failure)).Resumed().Did("resumed 1", "run", "exit Halt")
            .StepsForTheLastTime().Did("run", "ended: could not run: KVM_RUN failed on vCPU 0: EFAULT")
            .StepsForTheLastTime().Did();
        Assert.Same(failure, rig.Failure);
    }

    [Fact]
    public void An_exit_handler_that_throws_ends_the_runner_with_what_it_threw()
    {
        var failure = new InvalidOperationException("the disk is gone");
        var rig = new Rig(Halt, Io) { OnExit = reason => reason == Io ? throw failure : ExitAction.Continue };
        rig.Resumed().StepsForTheLastTime()
            .Did("resumed 1", "run", "exit Halt", "run", "exit Io", "ended: was ended by its exit handler: the disk is gone")
            .StepsForTheLastTime().Did();
        Assert.Same(failure, rig.Failure);
    }

    [Fact]
    public void An_exit_handler_that_says_stop_ends_the_runner()
    {
        var rig = new Rig(Halt, SystemEvent) { OnExit = reason => reason == SystemEvent ? ExitAction.Stop : ExitAction.Continue };
        rig.Resumed().StepsForTheLastTime()
            .Did("resumed 1", "run", "exit Halt", "run", "exit SystemEvent", "ended: was stopped by its exit handler")
            .StepsForTheLastTime().Did();
        Assert.Null(rig.Failure);
    }

    [Fact]
    public void A_vcpu_that_ends_while_it_finishes_pending_io_is_not_parked()
    {
        var rig = new Rig(Io, Io, Halt).Resumed().Did("resumed 1", "run", "exit Io");
        rig.OnExit = _ => throw new InvalidOperationException("the disk is gone");
        rig.Runner.RequestPark(2);
        rig.StepsForTheLastTime().Did("finish", "exit Io", "ended: was ended by its exit handler: the disk is gone").StepsForTheLastTime().Did();
        Assert.False(rig.Vcpu.ImmediateExit);
    }

    [Fact]
    public void A_guest_that_shuts_down_while_it_finishes_pending_io_is_not_parked()
    {
        var rig = new Rig(Mmio, Shutdown).Resumed().Did("resumed 1", "run", "exit Mmio");
        rig.Runner.RequestPark(2);
        rig.StepsForTheLastTime().Did("finish", "ended: shut down: the guest raised a triple fault");
        Assert.False(rig.Vcpu.ImmediateExit);
    }

    [Fact]
    public void A_stop_ends_a_parked_runner_at_once()
    {
        var rig = new Rig();
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("ended: was stopped").StepsForTheLastTime().Did();
    }

    [Fact]
    public void A_stop_finishes_pending_io_first()
    {
        var rig = new Rig(Io, Mmio, Interrupted, Halt).Resumed().Did("resumed 1", "run", "exit Io");
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("finish", "exit Mmio", "finish", "ended: was stopped").StepsForTheLastTime().Did();
        Assert.False(rig.Vcpu.ImmediateExit);
    }

    [Fact]
    public void A_runner_that_ends_on_its_way_to_a_stop_ends_once()
    {
        var rig = new Rig(Io, Shutdown).Resumed().Did("resumed 1", "run", "exit Io");
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("finish", "ended: shut down: the guest raised a triple fault").StepsForTheLastTime().Did();
    }

    [Fact]
    public void Requests_that_come_after_a_stop_are_ignored()
    {
        var rig = new Rig(Halt);
        rig.Runner.RequestStop();
        RequestEverything(rig);
        rig.StepsForTheLastTime().Did("ended: was stopped");
        RequestEverything(rig);
        rig.StepsForTheLastTime().Did();
    }

    [Fact]
    public void A_stop_overtakes_what_was_asked_before_it()
    {
        var rig = new Rig().Resumed().Did("resumed 1", "run");
        rig.Runner.RequestPark(2);
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("ended: was stopped");
    }

    [Fact]
    public void A_stop_asked_for_by_the_exit_handler_is_answered_before_the_guest_is_entered_again()
    {
        var rig = new Rig(Halt, Halt);
        rig.OnExit = _ =>
        {
            rig.Runner.RequestStop();
            return ExitAction.Continue;
        };
        rig.Resumed().StepsForTheLastTime().Did("resumed 1", "run", "exit Halt", "ended: was stopped");
    }

    private static void RequestEverything(Rig rig)
    {
        rig.Runner.RequestResume(2);
        rig.Runner.RequestPark(3);
        rig.Runner.RequestCapture(4);
        rig.Runner.RequestStop();
    }
}
