using Checkpoint.Actors.Hosting;

namespace Checkpoint.Simulation.Scheduling;

/// <summary>One of the engine's activities as steps of the scheduler, each after a while that its pace decides.</summary>
internal sealed class SteppedActivity(Scheduler scheduler, SimulatedProcess process, IActivity activity, ActivityKind kind, IPace pace) : IActivityThread
{
    private Scheduler.Entry? _next;
    private long _heldUntilUs;
    private bool _isStarted;
    private bool _isWoken;
    private bool _isStuck;

    /// <summary>Whether it is at work on a call that takes long, or never ends.</summary>
    public bool IsHeld => _isStuck || _heldUntilUs > scheduler.NowUs;

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

    /// <summary>The call that it makes just now takes so long; for ever where that is infinite.</summary>
    public void Hold(TimeSpan duration)
    {
        if (duration == Timeout.InfiniteTimeSpan)
        {
            _isStuck = true;
            pace.OnStuck(activity.Name, kind);
        }
        else
        {
            _heldUntilUs = Math.Max(_heldUntilUs, scheduler.NowUs) + (long)duration.TotalMicroseconds;
        }
    }

    /// <summary>Has something done when the calls that it makes are over: never, where one of them hangs.</summary>
    public void Afterwards(Action work)
    {
        if (!_isStuck)
            scheduler.After(_heldUntilUs - scheduler.NowUs, work, process);
    }

    private void Plan(TimeSpan? atMost = null)
    {
        if (_next is not null)
            _next.IsCancelled = true;
        if (_isStuck)
            return;
        if (IsHeld)
        {
            // Nothing can shorten it.
            _isWoken = true;
            _next = scheduler.After(_heldUntilUs - scheduler.NowUs, Step, process);
            return;
        }

        if (atMost is { } rest)
        {
            _next = scheduler.After((long)Math.Ceiling(rest.TotalMicroseconds), Step, process);
            return;
        }

        var pause = pace.BeforeStep(activity.Name, kind, _isWoken);
        _isWoken |= pause.IsFirm;
        _next = scheduler.After(pause.Us, Step, process);
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
        bool isThere;
        TimeSpan? pause;
        scheduler.AtWork = this;
        try
        {
            isThere = activity.Step(out pause);
        }
        finally
        {
            scheduler.AtWork = null;
        }

        if (!isThere)
            End();
        else if (pause is null || IsHeld)
            Plan();
        else if (pause != Timeout.InfiniteTimeSpan && !_isWoken)
            Plan(pause);
    }
}
