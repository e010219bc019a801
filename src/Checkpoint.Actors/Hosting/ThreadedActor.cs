using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Hosting;

/// <summary>
/// An actor with a thread of its own, because what it calls may block: an embedder's device, the copy of memory. It waits by
/// blocking, not by spinning: the guest needs the processors.
/// </summary>
internal abstract class ThreadedActor : IParticipantActor, IActivity
{
    private readonly Lock _gate = new();
    private readonly WakeSignal _wake = new();
    private readonly Queue<(CoordinatorEffect.ParticipantEffect Message, RoundReports Reports)> _messages = new(capacity: 8);
    private readonly IParticipantListener _listener;
    private readonly IActivityThread _thread;
    private readonly TaskCompletionSource _ended;
    private bool _isStopping;

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

    public void Start() => _thread.Start();

    public virtual void Tell(CoordinatorEffect.ParticipantEffect message)
    {
        lock (_gate)
        {
            if (_reports?.Round != message.Round)
                _reports = new RoundReports(message.Round, Participant.Index);
            _messages.Enqueue((message, _reports));
        }

        _thread.Wake();
    }

    public void Stop()
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
    protected virtual void Prepare(RoundId round, CheckpointMode mode)
    {
    }

    /// <summary>The round is over.</summary>
    protected virtual void Settle(bool isCommitted)
    {
    }

    protected abstract void Park();

    protected abstract void Capture();

    protected abstract void Resume();

    void IActivity.Run()
    {
        while (Step(out var pause))
        {
            // A signal may stand for several messages, or for one that was taken already: then the queue is looked at again.
            if (pause is not null)
                _wake.Wait();
        }
    }

    public bool Step(out TimeSpan? pause)
    {
        pause = null;
        (CoordinatorEffect.ParticipantEffect Message, RoundReports Reports) next;
        lock (_gate)
        {
            if (!_messages.TryDequeue(out next))
                pause = Timeout.InfiniteTimeSpan;
            if (pause is not null && !_isStopping)
                return true;
        }

        if (pause is null)
        {
            Answer(next.Message, next.Reports);
            return true;
        }

        OnEnded();
        _ended.SetResult();
        return false;
    }

    private void Answer(CoordinatorEffect.ParticipantEffect message, RoundReports reports)
    {
        try
        {
            if (Do(message, reports) is { } report)
                _listener.Hear(report);
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
            _listener.Hear(new CoordinatorInput.ParticipantFailed(message.Round, Participant.Index, Failure.Of(what, failure)));
        }
    }

    private CoordinatorInput? Do(CoordinatorEffect.ParticipantEffect message, RoundReports reports)
    {
        switch (message)
        {
            case CoordinatorEffect.PrepareParticipant prepare:
                Prepare(prepare.Round, prepare.Mode);
                return reports.Prepared;
            case CoordinatorEffect.SettleParticipant settle:
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
