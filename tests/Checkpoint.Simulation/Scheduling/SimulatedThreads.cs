using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;

namespace Checkpoint.Simulation.Scheduling;

/// <summary>What an activity is, as far as its pace goes.</summary>
internal enum ActivityKind
{
    Vcpu,
    Store,
    Other,
}

/// <summary>How long an activity waits before its next step.</summary>
/// <param name="Us">Microseconds.</param>
/// <param name="IsFirm">Whether nothing can shorten it: it is held up, not asleep.</param>
internal readonly record struct Pause(long Us, bool IsFirm = false);

/// <summary>How long the scheduler lets an activity wait before its next step; faults make it longer.</summary>
internal interface IPace
{
    /// <summary>The time until the step after a wake, or until the next step of one that has more to do.</summary>
    /// <returns>Null: this activity hangs and never takes a step again.</returns>
    Pause? BeforeStep(string name, ActivityKind kind, bool isWoken);
}

/// <summary>The engine's activities as steps of the scheduler, each after a while that the seed decides.</summary>
internal sealed class SimulatedThreads(Scheduler scheduler, SimulatedProcess process, SeededRandom random) : IEngineThreads
{
    // Continuations run at once: there is no other thread to go on.
    public TaskCreationOptions Completion => TaskCreationOptions.None;

    /// <summary>Whose activities are being made.</summary>
    public IPace? Pace { get; set; }

    public IActivityThread For(IActivity activity) => new SteppedActivity(
        this,
        activity,
        activity switch
        {
            VcpuActor => ActivityKind.Vcpu,
            StoreThread => ActivityKind.Store,
            _ => ActivityKind.Other,
        },
        Pace ?? throw new InvalidOperationException("An activity was made for nobody."));

    public void Run(Func<Task> work) => scheduler.After(random.Between(1, 200), () => _ = work(), process);

    /// <summary>The bytes that were drawn last: a round's identity.</summary>
    public byte[] LastDrawn { get; private set; } = [];

    public void FillRandom(Span<byte> bytes)
    {
        random.Fill(bytes);
        LastDrawn = bytes.ToArray();
    }

    private sealed class SteppedActivity(SimulatedThreads threads, IActivity activity, ActivityKind kind, IPace pace) : IActivityThread
    {
        private Scheduler.Entry? _next;
        private bool _isStarted;
        private bool _isWoken;
        private bool _isStuck;

        public void Start()
        {
            _isStarted = true;
            Wake();
        }

        public void Wake()
        {
            // Woken twice before a step it takes one step; woken while it has more to do anyway, it comes earlier.
            if (!_isStarted || _isStuck || _isWoken)
                return;
            _isWoken = true;
            Plan();
        }

        private void Plan(TimeSpan? atMost = null)
        {
            if (_next is not null)
                _next.IsCancelled = true;
            if (atMost is { } rest)
            {
                _next = threads.SchedulerOf().After((long)Math.Ceiling(rest.TotalMicroseconds), Step, threads.ProcessOf());
                return;
            }

            if (pace.BeforeStep(activity.Name, kind, _isWoken) is not { } pause)
            {
                _isStuck = true;
                return;
            }

            _isWoken |= pause.IsFirm;
            _next = threads.SchedulerOf().After(pause.Us, Step, threads.ProcessOf());
        }

        private void End()
        {
            _isStarted = false;
            if (_next is not null)
                _next.IsCancelled = true;
        }

        private void Step()
        {
            _isWoken = false;
            _next = null;
            if (!activity.Step(out var pause))
                End();
            else if (pause is null)
                Plan();
            else if (pause != Timeout.InfiniteTimeSpan && !_isWoken)
                Plan(pause);
        }
    }

    private Scheduler SchedulerOf() => scheduler;

    private SimulatedProcess ProcessOf() => process;
}
