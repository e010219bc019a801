using System.Collections.Concurrent;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// One timer for each phase that has a deadline, made once: to set one again allocates nothing. A deadline of a round that is
/// over is reported all the same; the coordinator drops it by the round's id.
/// </summary>
internal sealed class DeadlineTimers(TimeProvider time, Action<CoordinatorInput> report) : IDisposable
{
    private readonly ConcurrentDictionary<RoundPhase, Deadline> _deadlines = new();

    /// <summary>Sets a phase's deadline in place of the one before.</summary>
    public void Set(CoordinatorEffect.SetDeadline effect) =>
        _deadlines.GetOrAdd(effect.Phase, static (_, timers) => new Deadline(timers.Time, timers.Report), (Time: time, Report: report)).Set(effect);

    public void Dispose()
    {
        foreach (var deadline in _deadlines.Values)
            deadline.Dispose();
    }

    private sealed class Deadline : IDisposable
    {
        private readonly TimeProvider _time;
        private readonly Action<CoordinatorInput> _report;
        private readonly ITimer _timer;
        private readonly Lock _gate = new();
        private CoordinatorEffect.SetDeadline? _current;
        private long _begun;

        public Deadline(TimeProvider time, Action<CoordinatorInput> report)
        {
            _time = time;
            _report = report;
            _timer = time.CreateTimer(_ => OnTimer(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public void Set(CoordinatorEffect.SetDeadline effect)
        {
            lock (_gate)
            {
                _current = effect;
                _begun = _time.GetTimestamp();
            }

            _timer.Change(effect.After, Timeout.InfiniteTimeSpan);
        }

        public void Dispose() => _timer.Dispose();

        private void OnTimer()
        {
            CoordinatorEffect.SetDeadline? current;
            TimeSpan rest;
            lock (_gate)
            {
                current = _current;
                rest = current is null ? TimeSpan.Zero : current.After - _time.GetElapsedTime(_begun);
            }

            // Timers count in the host's ticks and may come some milliseconds early; nobody is given up before his time.
            if (rest > TimeSpan.Zero)
                _timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(rest.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
            else if (current is not null)
                _report(new CoordinatorInput.DeadlineReached(current.Round, current.Phase));
        }
    }
}
