namespace Checkpoint.Simulation.Scheduling;

/// <summary>The clock of one process: it is the scheduler's, and its timers are things that the scheduler does.</summary>
internal sealed class VirtualTime(Scheduler scheduler, SimulatedProcess process) : TimeProvider
{
    private const long TicksPerMicrosecond = TimeSpan.TicksPerMicrosecond;

    private static readonly DateTimeOffset s_begin = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => scheduler.NowUs * TicksPerMicrosecond;

    public override DateTimeOffset GetUtcNow() => s_begin.AddTicks(GetTimestamp());

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class Timer(VirtualTime time, TimerCallback callback, object? state) : ITimer
    {
        private Scheduler.Entry? _next;

        private Scheduler Scheduler => time.SchedulerOf();

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            if (_next is not null)
                _next.IsCancelled = true;
            _next = null;
            if (dueTime == Timeout.InfiniteTimeSpan)
                return true;
            if (period != Timeout.InfiniteTimeSpan)
                throw new NotSupportedException("Nothing in the engine uses timers that repeat.");
            // Whole microseconds, never early.
            var afterUs = (dueTime.Ticks + TicksPerMicrosecond - 1) / TicksPerMicrosecond;
            _next = Scheduler.After(afterUs, () => callback(state), time.ProcessOf());
            return true;
        }

        public void Dispose() => Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private Scheduler SchedulerOf() => scheduler;

    private SimulatedProcess ProcessOf() => process;
}
