using System.Diagnostics;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Hosting;

/// <summary>
/// An actor with a thread of its own, because what it calls may block: an embedder's device, the copy of memory. It waits by
/// blocking, because the guest needs the processors; only between preparing and capturing it looks for the order for
/// <see cref="Lingering"/> before it does.
/// </summary>
internal abstract class ThreadedActor : IParticipantActor, IActivity
{
    private const int SpinsPerLook = 10;

    private static readonly TimeSpan s_lookInEvery = TimeSpan.FromMilliseconds(1);

    // Whose capture the calling thread looks for when its own report has been heard.
    [ThreadStatic]
    private static ThreadedActor? t_helped;

    private readonly Lock _gate = new();
    private readonly WakeSignal _wake = new();
    private readonly Queue<(CoordinatorEffect.ParticipantEffect Message, RoundReports Reports)> _messages = new(capacity: 8);
    private readonly IParticipantListener _listener;
    private readonly IActivityThread _thread;
    private readonly TaskCompletionSource _ended;
    private bool _isStopping;
    private bool _isAtWork;
    private volatile bool _looksIn;
    private volatile bool _hasMessages;
    private bool _expectsCapture;
    private bool _lingers;

    // Of the round that the last message belonged to; made on the coordinator's thread, before the guest waits. A message
    // travels with its own round's reports, because an actor that hung may still be at work for a round that is over.
    private RoundReports? _reports;

    protected ThreadedActor(Participant participant, IParticipantListener listener, IEngineThreads? threads)
    {
        threads ??= EngineThreads.Own;
        Participant = participant;
        _listener = listener;
        _thread = threads.For(this);
        _ended = new TaskCompletionSource(threads.Completion);
    }

    public Task Ended => _ended.Task;

    string IActivity.Name => Participant.Name;

    WakeSignal? IActivity.Signal => _wake;

    protected Participant Participant { get; }

    /// <summary>Whether a thread of its own drives it.</summary>
    protected bool HasOwnThread { get; private set; }

    /// <summary>Whether a thread that somebody waits for may do the capture: it must be over in no time, or end with an error.</summary>
    protected virtual bool MayBeHelped => false;

    public void Start() => _thread.Start();

    public virtual void Tell(CoordinatorEffect.ParticipantEffect message)
    {
        lock (_gate)
        {
            if (_reports?.Round != message.Round)
                _reports = new RoundReports(message.Round, Participant.Index);
            _messages.Enqueue((message, _reports));
            _hasMessages = true;
        }

        if (t_helped != this || message is not CoordinatorEffect.CaptureParticipant)
            _thread.Wake();
    }

    /// <summary>
    /// Makes a report on a thread that is awake in the pause anyway, and does what it led to here: to wake a thread takes as long as what
    /// that thread would do, and milliseconds where the host gives its processor to somebody else.
    /// </summary>
    public void HelpAfter<TState>(TState state, Action<TState> report)
    {
        if (!MayBeHelped)
        {
            report(state);
            return;
        }

        t_helped = this;
        try
        {
            report(state);
        }
        finally
        {
            t_helped = null;
        }

        Help(isLast: false);
    }

    /// <summary>Does the capture where nobody is at it, or about to be.</summary>
    /// <param name="isLast">Whether the calling thread has nothing else to do: then it does not leave it to one that is about to.</param>
    public void Help(bool isLast)
    {
        if (!MayBeHelped || !TryTakeCapture(isLast, out var message, out var reports))
            return;
        Answer(message, reports);
        bool isMore;
        lock (_gate)
            isMore = _messages.Count > 0 || _isStopping;
        // The actor's own thread may have looked while this one was at work.
        if (isMore)
            _thread.Wake();
    }

    public virtual void Stop()
    {
        lock (_gate)
        {
            _isStopping = true;
        }

        _thread.Wake();
    }

    /// <summary>The thread's last act.</summary>
    protected virtual void OnEnded()
    {
    }

    /// <summary>Takes what can be taken while the guest runs.</summary>
    protected virtual void Prepare(RoundId round, CheckpointMode mode, PauseLimit? limit)
    {
    }

    /// <summary>The round is over.</summary>
    protected virtual void Settle(bool isCommitted)
    {
    }

    /// <summary>
    /// How long its own thread looks for the order to capture before it sleeps, after it has prepared. Zero where the vCPUs need that processor.
    /// </summary>
    protected virtual TimeSpan Lingering => TimeSpan.Zero;

    protected abstract void Park();

    protected abstract void Capture();

    protected abstract void Resume();

    void IActivity.Run()
    {
        HasOwnThread = true;
        while (Step(out var pause))
        {
            // A signal may stand for several messages, or for one that was taken already: then the queue is looked at again.
            if (pause is not { } atMost || Lingered())
                continue;
            if (atMost == Timeout.InfiniteTimeSpan)
                _wake.Wait();
            else
                _wake.Wait(atMost);
        }
    }

    public bool Step(out TimeSpan? pause)
    {
        pause = null;
        (CoordinatorEffect.ParticipantEffect Message, RoundReports Reports) next;
        bool isFound, isOver;
        lock (_gate)
        {
            // One message at a time, whoever does it.
            next = default;
            isFound = !_isAtWork && _messages.TryDequeue(out next);
            _hasMessages = _messages.Count > 0;
            isOver = !isFound && !_isAtWork && _isStopping;
            _isAtWork |= isFound;
        }

        if (isFound)
        {
            Answer(next.Message!, next.Reports!);
            return true;
        }

        if (isOver)
        {
            OnEnded();
            _ended.SetResult();
            return false;
        }

        pause = _looksIn ? s_lookInEvery : Timeout.InfiniteTimeSpan;
        if (_looksIn)
            _listener.LookIn();
        return true;
    }

    private void Answer(CoordinatorEffect.ParticipantEffect message, RoundReports reports)
    {
        CoordinatorInput? report;
        try
        {
            report = Do(message, reports);
        }
        catch (Exception failure)
        {
            var what = message switch
            {
                CoordinatorEffect.PrepareParticipant => "could not prepare",
                CoordinatorEffect.SettleParticipant => "could not be told of the end of the round",
                CoordinatorEffect.ParkParticipant => "could not park",
                CoordinatorEffect.CaptureParticipant => "could not be captured",
                _ => "could not resume",
            };
            report = new CoordinatorInput.ParticipantFailed(message.Round, Participant.Index, Failure.Of(what, failure));
        }

        // Before the report, which may bring the next message: whoever takes that one must find nobody at work.
        lock (_gate)
            _isAtWork = false;
        if (report is not null)
            _listener.Hear(report);
    }

    // Where something else comes first, or the actor's own thread is at work, that thread does all of it.
    private bool TryTakeCapture(bool isLast, out CoordinatorEffect.ParticipantEffect message, out RoundReports reports)
    {
        lock (_gate)
        {
            var isThere = _messages.TryPeek(out var next) && next.Message is CoordinatorEffect.CaptureParticipant && !_isAtWork && (isLast || !_lingers);
            (message, reports) = next;
            if (!isThere)
                return false;
            _messages.Dequeue();
            _hasMessages = _messages.Count > 0;
            return _isAtWork = true;
        }
    }

    // The thread that prepared last has just kicked the vCPUs: while they come out of the guest it stays awake, to capture beside
    // them what would otherwise be captured one after another.
    private bool Lingered()
    {
        if (!_expectsCapture)
            return false;
        _expectsCapture = false;
        if (Lingering == TimeSpan.Zero)
            return false;
        lock (_gate)
            _lingers = true;
        var begun = Stopwatch.GetTimestamp();
        while (!_hasMessages && Stopwatch.GetElapsedTime(begun) < Lingering)
            Thread.SpinWait(SpinsPerLook);

        // Under the lock: a capture that was left to this thread is seen.
        lock (_gate)
        {
            _lingers = false;
            return _messages.Count > 0;
        }
    }

    private CoordinatorInput? Do(CoordinatorEffect.ParticipantEffect message, RoundReports reports)
    {
        switch (message)
        {
            case CoordinatorEffect.PrepareParticipant prepare:
                Prepare(prepare.Round, prepare.Mode, prepare.Limit);
                _looksIn = true;
                _expectsCapture = true;
                return reports.Prepared;
            case CoordinatorEffect.SettleParticipant settle:
                _looksIn = false;
                Settle(settle.IsCommitted);
                return null;
            case CoordinatorEffect.ParkParticipant:
                Park();
                return reports.Parked;
            case CoordinatorEffect.CaptureParticipant:
                Capture();
                return reports.Captured;
            case CoordinatorEffect.ResumeParticipant:
                Resume();
                return reports.Resumed;
            default:
                throw new ArgumentException($"{Participant.Name} does not take {message.GetType().Name}.", nameof(message));
        }
    }
}
