using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Hosting;

/// <summary>
/// An actor with a thread of its own, because what it calls may block: an embedder's device, the copy of memory. It waits by
/// blocking, not by spinning: the guest needs the processors.
/// </summary>
internal abstract class ThreadedActor : IParticipantActor
{
    private readonly Lock _gate = new();
    private readonly WakeSignal _wake = new();
    private readonly Queue<(CoordinatorEffect.ParticipantEffect Message, RoundReports Reports)> _messages = new(capacity: 8);
    private readonly IParticipantListener _listener;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isStopping;

    // Of the round that the last message belonged to; made on the coordinator's thread, before the guest waits. A message
    // travels with its own round's reports, because an actor that hung may still be at work for a round that is over.
    private RoundReports? _reports;

    protected ThreadedActor(Participant participant, IParticipantListener listener)
    {
        Participant = participant;
        _listener = listener;
        _thread = new Thread(RunThread) { IsBackground = true, Name = participant.Name };
    }

    public Task Ended => _ended.Task;

    protected Participant Participant { get; }

    public void Start() => _thread.Start();

    public void Tell(CoordinatorEffect.ParticipantEffect message)
    {
        lock (_gate)
        {
            if (_reports?.Round != message.Round)
                _reports = new RoundReports(message.Round, Participant.Index);
            _messages.Enqueue((message, _reports));
        }

        _wake.Set();
    }

    public void Stop()
    {
        lock (_gate)
        {
            _isStopping = true;
        }

        _wake.Set();
    }

    protected abstract void Park();

    protected abstract void Capture();

    protected abstract void Resume();

    private void RunThread()
    {
        while (Take(out var message, out var reports))
        {
            try
            {
                _listener.Hear(Do(message, reports));
            }
            catch (Exception failure)
            {
                var what = message switch
                {
                    CoordinatorEffect.ParkParticipant => "could not park",
                    CoordinatorEffect.CaptureParticipant => "could not be captured",
                    _ => "could not resume",
                };
                _listener.Hear(new CoordinatorInput.ParticipantFailed(message.Round, Participant.Index, Failure.Of(what, failure)));
            }
        }

        _ended.SetResult();
    }

    private bool Take(out CoordinatorEffect.ParticipantEffect message, out RoundReports reports)
    {
        while (true)
        {
            lock (_gate)
            {
                var found = _messages.TryDequeue(out var next);
                (message, reports) = next;
                if (found || _isStopping)
                    return found;
            }

            // A signal may stand for several messages, or for one that was taken already: then the queue is looked at again.
            _wake.Wait();
        }
    }

    private CoordinatorInput Do(CoordinatorEffect.ParticipantEffect message, RoundReports reports)
    {
        switch (message)
        {
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
