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
        private readonly ITimer _timer;
        private CoordinatorEffect.SetDeadline? _current;

        public Deadline(TimeProvider time, Action<CoordinatorInput> report) =>
            _timer = time.CreateTimer(
                _ =>
                {
                    if (Volatile.Read(ref _current) is { } current)
                        report(new CoordinatorInput.DeadlineReached(current.Round, current.Phase));
                },
                null,
                Timeout.InfiniteTimeSpan,
                Timeout.InfiniteTimeSpan);

        public void Set(CoordinatorEffect.SetDeadline effect)
        {
            Volatile.Write(ref _current, effect);
            _timer.Change(effect.After, Timeout.InfiniteTimeSpan);
        }

        public void Dispose() => _timer.Dispose();
    }
}
