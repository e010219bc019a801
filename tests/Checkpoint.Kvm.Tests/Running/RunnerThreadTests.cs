namespace Checkpoint.Kvm.Tests.Running;

/// <summary>A runner that drives itself on a thread.</summary>
public sealed class RunnerThreadTests
{
    private const int Cycles = 500;

    [Fact]
    public void A_parked_runner_sleeps_without_running_anything()
    {
        using var thread = new RunnerThread().Start();
        thread.WaitUntilItSleeps();
        Assert.Equal((1, 0, 0), (thread.Vcpu.Bound, thread.Vcpu.Unbound, thread.Vcpu.Runs));
    }

    [Fact]
    public void A_request_made_before_the_thread_began_is_answered()
    {
        using var thread = new RunnerThread();
        thread.Runner.RequestPark(7);
        thread.Start().Park(8);
        thread.Resume(9);
    }

    [Fact]
    public void The_vcpu_is_bound_to_the_thread_that_runs_it_and_given_up_when_it_ends()
    {
        var thread = new RunnerThread().Start();
        thread.Resume(1);
        thread.Runner.RequestStop();
        Assert.Null(thread.Join());
        Assert.Equal((1, 1), (thread.Vcpu.Bound, thread.Vcpu.Unbound));
        Assert.NotSame(Thread.CurrentThread, thread.Vcpu.Thread);
    }

    [Fact]
    public void The_vcpu_is_given_up_when_its_owner_throws()
    {
        var failure = new InvalidOperationException("the owner has a bug");
        var thread = new RunnerThread { ThrowWhenParked = failure }.Start();
        thread.Runner.RequestPark(1);
        Assert.Same(failure, thread.Join());
        Assert.Equal((1, 1), (thread.Vcpu.Bound, thread.Vcpu.Unbound));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void No_wake_up_is_lost_however_often_a_vcpu_is_parked_and_resumed(bool doesIo)
    {
        using var thread = new RunnerThread(doesIo).Start();
        thread.Resume(1);
        for (var token = 2; token < Cycles + 2; token++)
        {
            thread.Park(token);
            thread.Capture(token);
            thread.Resume(token);
        }

        Assert.Equal(Cycles, thread.Captures);
        Assert.Equal(doesIo, thread.Exits > 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_resume_that_overtakes_a_park_is_told(bool doesIo)
    {
        using var thread = new RunnerThread(doesIo).Start();
        for (var token = 1; token <= Cycles; token++)
        {
            thread.Runner.RequestPark(token);
            thread.Resume(token);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Park_capture_and_resume_allocate_nothing_on_the_vcpus_thread(bool doesIo)
    {
        const int WarmUp = 100;
        using var thread = new RunnerThread(doesIo).Start();
        var before = 0L;
        for (var token = 1; token <= 2 * WarmUp; token++)
        {
            thread.Park(token);
            thread.Capture(token);
            thread.Resume(token);
            if (token == WarmUp)
                before = thread.AllocatedBytes;
        }

        Assert.NotEqual(0, before);
        Assert.Equal(before, thread.AllocatedBytes);
    }
}
