using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Hosting;

/// <summary>
/// Owns one vCPU's runner and with it the fd. Messages become requests of the runner, which has one place for a request
/// because each one supersedes the one before; what the runner reports becomes messages to the coordinator.
/// </summary>
internal sealed class VcpuActor : IParticipantActor, IVcpuObserver, IActivity
{
    private const long SuspendToken = -1;

    private readonly Participant _participant;
    private readonly VcpuRunner _runner;
    private readonly IParticipantListener _listener;
    private readonly IEngineThreads _threads;
    private readonly IActivityThread _thread;
    private readonly TaskCompletionSource _ended;
    private readonly object _gate = new();
    private RoundReports? _reports;
    private TaskCompletionSource<bool>? _suspended;
    private bool _isStarted;
    private bool _isInRound;

    public VcpuActor(Participant participant, VcpuState state, IExitHandler exits, IParticipantListener listener, IEngineThreads? threads = null)
    {
        _participant = participant;
        _listener = listener;
        _runner = new VcpuRunner(state.Vcpu, exits, state.Capture, this);
        _threads = threads ?? EngineThreads.Own;
        _thread = _threads.For(this);
        _ended = new TaskCompletionSource(_threads.Completion);
    }

    /// <summary>Whose capture the vCPU's thread does where it is the one to park last.</summary>
    public ThreadedActor? Helped { get; set; }

    /// <summary>Ends when the vCPU will not run again and its thread has left it.</summary>
    public Task Ended => _ended.Task;

    string IActivity.Name => _participant.Name;

    // The runner has one of its own.
    WakeSignal? IActivity.Signal => null;

    /// <summary>Starts the thread; the vCPU is parked until it is resumed.</summary>
    public void Start() => _thread.Start();

    public void Tell(CoordinatorEffect.ParticipantEffect message)
    {
        try
        {
            Ask(message);
        }
        catch (KvmException failure)
        {
            // The request stands, but nobody knows when the vCPU looks at it: its kick did not go out.
            _listener.Hear(new CoordinatorInput.ParticipantFailed(message.Round, _participant.Index, Failure.Of("could not be kicked", failure)));
        }

        _thread.Wake();
    }

    private void Ask(CoordinatorEffect.ParticipantEffect message)
    {
        var round = message.Round.Value;
        switch (message)
        {
            case CoordinatorEffect.ParkParticipant:
                // Made before the kick: from then on the guest waits.
                _reports = new RoundReports(message.Round, _participant.Index);
                lock (_gate)
                    _isInRound = true;
                _runner.RequestPark(round);
                break;
            case CoordinatorEffect.CaptureParticipant:
                _runner.RequestCapture(round);
                break;
            case CoordinatorEffect.ResumeParticipant:
                Resume(round);
                break;
            default:
                throw new ArgumentException($"A vCPU does not take {message.GetType().Name}.", nameof(message));
        }
    }

    /// <summary>Lets the vCPU run for the first time: at once, or when the round under way lets the others run.</summary>
    public void Run()
    {
        lock (_gate)
        {
            if (_isStarted)
                return;
            _isStarted = true;
            if (!_isInRound)
                TryRequest(static runner => runner.RequestResume(0));
        }

        _thread.Wake();
    }

    /// <summary>
    /// Parks the vCPU, with no IO pending, until <see cref="Run"/>. Checkpoints are taken of it as of one that was never started.
    /// </summary>
    /// <returns>Ends when it is parked or has ended; false where it was not running.</returns>
    public Task<bool> SuspendAsync()
    {
        lock (_gate)
        {
            if (!_isStarted || _ended.Task.IsCompleted)
                return Task.FromResult(false);
            _isStarted = false;
            _suspended = new TaskCompletionSource<bool>(_threads.Completion);
            // One request supersedes another: a round under way is let end first.
            if (_isInRound)
                return _suspended.Task;
            TryRequest(static runner => runner.RequestPark(SuspendToken));
        }

        _thread.Wake();

        // The round that has just let it run may not hear of that any more: its order to run is superseded.
        if (_reports is { } reports)
            Report(reports.Round.Value, static each => each.Resumed);
        return _suspended.Task;
    }

    public void Stop()
    {
        TryRequest(static runner => runner.RequestStop());
        _thread.Wake();
    }

    /// <summary>Drives the vCPU on the calling thread until it has ended, instead of <see cref="Start"/>.</summary>
    public void RunOnThisThread()
    {
        try
        {
            _runner.Run();
        }
        catch (Exception failure)
        {
            OnBroken(failure);
        }
        finally
        {
            OnLeft();
        }
    }

    private void TryRequest(Action<VcpuRunner> request)
    {
        try
        {
            request(_runner);
        }
        catch (KvmException)
        {
            // The request stands, its kick did not go out: the vCPU finds it at its next exit, or is left behind.
        }
    }

    void IActivity.Run() => RunOnThisThread();

    bool IActivity.Step(out TimeSpan? pause)
    {
        pause = null;
        try
        {
            if (_runner.Step())
            {
                if (_runner.IsIdle)
                    pause = Timeout.InfiniteTimeSpan;
                return true;
            }
        }
        catch (Exception failure)
        {
            OnBroken(failure);
        }

        OnLeft();
        return false;
    }

    void IVcpuObserver.OnParked(long token)
    {
        if (token == SuspendToken)
            _suspended?.TrySetResult(true);
        else if (Helped is { } helped)
            helped.HelpAfter((Vcpu: this, Token: token), static parked => parked.Vcpu.Report(parked.Token, static reports => reports.Parked));
        else
            Report(token, static reports => reports.Parked);
    }

    void IVcpuObserver.OnCaptured(long token)
    {
        Report(token, static reports => reports.Captured);
        // Whoever was about to capture the machine may have lost its processor.
        Helped?.Help(isLast: true);
    }

    void IVcpuObserver.OnResumed(long token)
    {
        if (_reports is { } reports && reports.Round.Value == token)
            _listener.HearSoon(reports.Resumed);
    }

    void IVcpuObserver.OnFailed(long token, Exception failure) =>
        _listener.Hear(new CoordinatorInput.ParticipantFailed(new RoundId(token), _participant.Index, Failure.Of("could not be captured", failure)));

    void IVcpuObserver.OnStopped() =>
        _listener.Hear(new CoordinatorInput.ParticipantGone(_participant.Index, new ParticipantFailure("was stopped"), WasAskedTo: true));

    void IVcpuObserver.OnEnded(string reason, Exception? failure) =>
        _listener.Hear(new CoordinatorInput.ParticipantGone(_participant.Index, new ParticipantFailure(reason, null, (failure as KvmException)?.Errno)));

    // Binding the thread failed, or the runner broke: either way nobody drives this vCPU any more.
    private void OnBroken(Exception failure) =>
        _listener.Hear(new CoordinatorInput.ParticipantGone(_participant.Index, Failure.Of("could not run", failure)));

    private void OnLeft()
    {
        _ended.SetResult();
        TaskCompletionSource<bool>? suspended;
        // Whoever asks for a suspension has either seen the end or is seen here.
        lock (_gate)
            suspended = _suspended;
        suspended?.TrySetResult(false);
    }

    private void Resume(long round)
    {
        lock (_gate)
        {
            _isInRound = false;
            if (_isStarted)
            {
                _runner.RequestResume(round);
                return;
            }
        }

        // A checkpoint of a machine that has not been started, or is suspended, leaves it so: its vCPU stays parked, and nobody
        // waits for it.
        if (_suspended is { Task.IsCompleted: false })
            _runner.RequestPark(SuspendToken);
        Report(round, static reports => reports.Resumed);
    }

    private void Report(long token, Func<RoundReports, CoordinatorInput> report)
    {
        if (_reports is { } reports && reports.Round.Value == token)
            _listener.Hear(report(reports));
    }
}
