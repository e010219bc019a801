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
    public void Whatever_a_run_throws_says_that_the_vcpu_could_not_run()
    {
        var failure = new InvalidOperationException("the vCPU is closed");
        var rig = new Rig(new ScriptedExit(Unknown, Thrown: failure));
        rig.Runner.RequestResume(1);
        rig.StepsForTheLastTime().Did("resumed 1", "run", "ended: could not run: the vCPU is closed");
        Assert.Same(failure, rig.Failure);
    }

    [Fact]
    public void A_call_to_the_kernel_that_fails_in_the_exit_handler_is_the_handlers_failure()
    {
        var failure = new KvmException("KVM_IRQ_LINE", Efault, null);
        var rig = new Rig(Io) { OnExit = _ => throw failure };
        rig.Runner.RequestResume(1);
        rig.StepsForTheLastTime().Did("resumed 1", "run", "exit Io", $"ended: was ended by its exit handler: {failure.Message}");
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
        rig.StepsForTheLastTime().Did("stopped").StepsForTheLastTime().Did();
    }

    [Fact]
    public void A_stop_finishes_pending_io_first()
    {
        var rig = new Rig(Io, Mmio, Interrupted, Halt).Resumed().Did("resumed 1", "run", "exit Io");
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("finish", "exit Mmio", "finish", "stopped").StepsForTheLastTime().Did();
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
        rig.StepsForTheLastTime().Did("stopped");
        RequestEverything(rig);
        rig.StepsForTheLastTime().Did();
    }

    [Fact]
    public void A_stop_overtakes_what_was_asked_before_it()
    {
        var rig = new Rig().Resumed().Did("resumed 1", "run");
        rig.Runner.RequestPark(2);
        rig.Runner.RequestStop();
        rig.StepsForTheLastTime().Did("stopped");
    }

    [Fact]
    public void A_stop_asked_for_by_the_exit_handler_is_answered_before_the_guest_is_entered_again()
    {
        var rig = new Rig(Halt, Interrupted, Halt);
        rig.OnExit = _ =>
        {
            rig.Runner.RequestStop();
            return ExitAction.Continue;
        };
        rig.Resumed().StepsForTheLastTime().Did("resumed 1", "run", "exit Halt", "finish", "stopped");
    }

    [Fact]
    public void A_runner_that_has_ended_by_itself_answers_no_request()
    {
        var rig = new Rig(Shutdown);
        rig.Runner.RequestResume(1);
        rig.StepsForTheLastTime().Did("resumed 1", "run", "ended: shut down: the guest raised a triple fault");
        foreach (var request in (Action[])[() => rig.Runner.RequestPark(2), () => rig.Runner.RequestCapture(3), () => rig.Runner.RequestResume(4), rig.Runner.RequestStop])
        {
            request();
            rig.StepsForTheLastTime().Did();
        }
    }

    [Fact]
    public void A_request_that_waits_while_the_runner_ends_is_not_answered()
    {
        var rig = new Rig(Shutdown);
        rig.OnReport = line =>
        {
            if (line.StartsWith("ended", StringComparison.Ordinal))
                rig.Runner.RequestResume(2);
        };
        rig.Runner.RequestResume(1);
        rig.StepsForTheLastTime().Did("resumed 1", "run", "ended: shut down: the guest raised a triple fault").StepsForTheLastTime().Did();
    }

    [Theory]
    [InlineData(Shutdown, false)]
    [InlineData(Io, false)]
    [InlineData(Unknown, true)]
    public void An_owner_that_throws_when_it_hears_the_end_hears_it_once(VcpuExitReason reason, bool isThrown)
    {
        var bug = new InvalidOperationException("the owner has a bug");
        var rig = new Rig(new ScriptedExit(reason, Thrown: isThrown ? new KvmException("KVM_RUN", Efault, 0) : null))
        {
            OnExit = _ => ExitAction.Stop,
            OnReport = line =>
            {
                if (line.StartsWith("ended", StringComparison.Ordinal))
                    throw bug;
            },
        };
        rig.Runner.RequestResume(1);
        Assert.Same(bug, Assert.Throws<InvalidOperationException>(() => rig.Runner.Step()));
        rig.StepsForTheLastTime();
        Assert.Equal(1, rig.Ends);
    }

    private static void RequestEverything(Rig rig)
    {
        rig.Runner.RequestResume(2);
        rig.Runner.RequestPark(3);
        rig.Runner.RequestCapture(4);
        rig.Runner.RequestStop();
    }
}
