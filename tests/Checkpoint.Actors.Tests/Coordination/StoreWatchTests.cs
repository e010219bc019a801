using Checkpoint.Actors.Coordination;

namespace Checkpoint.Actors.Tests.Coordination;

public sealed class StoreWatchTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(10);

    [Fact]
    public void Work_that_takes_longer_than_it_may_is_told_of_once_with_its_name()
    {
        var time = new ManualTime();
        var notices = new List<MachineNotice>();
        using var watch = new StoreWatch(s_deadline, time, notices.Add);
        using (watch.Begin("storing"))
        {
            time.Advance(s_deadline - TimeSpan.FromSeconds(2));
            Assert.Empty(notices);
            time.Advance(TimeSpan.FromSeconds(2));
            time.Advance(s_deadline);
        }

        Assert.Equal(new MachineNotice.StoreSilent("storing", s_deadline), Assert.Single(notices));
    }

    [Fact]
    public void The_time_of_a_piece_of_work_does_not_count_for_the_next()
    {
        var time = new LateTimers();
        var notices = new List<MachineNotice>();
        using var watch = new StoreWatch(s_deadline, time, notices.Add);
        watch.Begin("the first").Dispose();
        time.Advance(s_deadline);
        using var second = watch.Begin("the second");
        // The first one's timer was on its way already.
        time.Fire();
        Assert.Empty(notices);
        Assert.Equal(s_deadline, time.Due);
        time.Advance(s_deadline);
        time.Fire();
        Assert.IsType<MachineNotice.StoreSilent>(Assert.Single(notices));
    }

    /// <summary>A clock whose one timer fires when the test says so.</summary>
    private sealed class LateTimers : TimeProvider
    {
        private TimeSpan _now;
        private Action? _fire;

        public TimeSpan Due { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now.Ticks;

        public void Advance(TimeSpan time) => _now += time;

        public void Fire() => _fire!();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _fire = () => callback(state);
            return new Timer(this);
        }

        private sealed class Timer(LateTimers owner) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                owner.Due = dueTime;
                return true;
            }

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
