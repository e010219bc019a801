using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>A signal that one thread waits for: kept until it is taken, taken once, never lost.</summary>
public sealed class WakeSignalTests
{
    private const int Cycles = 1000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly WakeSignal _signal = new();

    [Fact]
    public void A_signal_that_was_set_before_is_taken_at_once()
    {
        _signal.Set();
        Assert.True(OnAThread(_signal.Wait).Join(Patience), "The signal is lost.");
    }

    [Fact]
    public void A_signal_that_was_set_twice_is_taken_once_and_who_waits_again_sleeps_until_it_is_set_again()
    {
        SleepWatch? sleeper = null;
        _signal.Set();
        _signal.Set();
        var waiter = OnAThread(() =>
        {
            _signal.Wait();
            Volatile.Write(ref sleeper, SleepWatch.OfCurrentThread());
            _signal.Wait();
        });
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref sleeper)?.IsAsleep() ?? false, Patience), "The signal is taken twice.");
        _signal.Set();
        Assert.True(waiter.Join(Patience), "The signal is lost.");
    }

    [Fact]
    public void However_often_two_threads_wake_each_other_no_signal_is_lost()
    {
        var answer = new WakeSignal();
        var taken = 0;
        var echo = OnAThread(() =>
        {
            for (var i = 0; i < Cycles; i++)
            {
                _signal.Wait();
                taken++;
                answer.Set();
            }
        });
        var asker = OnAThread(() =>
        {
            for (var i = 0; i < Cycles; i++)
            {
                _signal.Set();
                answer.Wait();
            }
        });
        Assert.True(asker.Join(Patience) && echo.Join(Patience), "A signal is lost.");
        Assert.Equal(Cycles, taken);
    }

    private static Thread OnAThread(Action action)
    {
        var thread = new Thread(() => action()) { IsBackground = true };
        thread.Start();
        return thread;
    }
}
