namespace Checkpoint.Actors.Tests;

/// <summary>A clock that moves only when the test says so.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<ManualTimer> _timers = [];
    private long _nowTicks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref _nowTicks);

    public override DateTimeOffset GetUtcNow() => new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddTicks(GetTimestamp());

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        lock (_gate)
            _timers.Add(timer);
        return timer;
    }

    /// <summary>Whether a timer becomes due in this time: who waits for it has set it.</summary>
    public bool IsSomethingDueWithin(TimeSpan time)
    {
        lock (_gate)
            return _timers.Exists(timer => timer.IsDueBy(_nowTicks + time.Ticks));
    }

    /// <summary>Moves the clock and fires, on this thread, what has become due.</summary>
    public void Advance(TimeSpan by)
    {
        ManualTimer[] due;
        lock (_gate)
        {
            _nowTicks += by.Ticks;
            due = [.. _timers.Where(timer => timer.TakeIfDue(_nowTicks))];
        }

        foreach (var timer in due)
            timer.Fire();
    }

    private sealed class ManualTimer(ManualTime time, TimerCallback callback, object? state) : ITimer
    {
        private long? _dueTicks;
        private TimeSpan _period;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time._gate)
            {
                _dueTicks = dueTime == Timeout.InfiniteTimeSpan ? null : time._nowTicks + dueTime.Ticks;
                _period = period;
            }

            return true;
        }

        public bool IsDueBy(long ticks) => _dueTicks <= ticks;

        public bool TakeIfDue(long nowTicks)
        {
            if (_dueTicks is not { } due || due > nowTicks)
                return false;
            _dueTicks = _period == Timeout.InfiniteTimeSpan ? null : due + _period.Ticks;
            return true;
        }

        public void Fire() => callback(state);

        public void Dispose()
        {
            lock (time._gate)
                time._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
