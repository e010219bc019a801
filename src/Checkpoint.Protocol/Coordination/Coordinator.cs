using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <summary>
/// The decisions of a machine's checkpoints, without IO, clock or threads: inputs go in with the moment at which they came,
/// effects come out, and the same inputs always give the same effects.
/// </summary>
/// <remarks>
/// <code>
///            BeginCheckpoint                 all parked             all parked
///   Idle ───────────────────▶ ParkingVcpus ────────────▶ ParkingDevices ────────▶ Capturing
///    ▲                             │ failed, gone, deadline  │              │        │ all captured
///    │                             ▼                         │              │        ▼
///    │                          Aborting ◀───────────────────┴──────────────┘  ResumingDevices
///    │                             │ all resumed, deadline                           │ all resumed, deadline
///    │   Committed, Refused        ▼        PartsStored and all resumed              ▼
///    ├───────────────────────  Appending ◀──────────────────────────────────────  Storing
///    │                             │  │     or PartsNotStored: the abort
///    │  Recovered                  │  └─ Conflict ─▶ Fenced
///    └──────────────── Recovering ◀┘ Unknown
/// </code>
/// The barrier: nothing is captured before all vCPUs and devices are parked, and nothing is stored before all have been told
/// to run. One append is the commit: no reply says Committed before <see cref="AppendResult.Committed"/> has come. Between
/// the park and the resume no effect is made anew; all of them come from <see cref="Round"/>.
/// </remarks>
public sealed partial class Coordinator
{
    private readonly ImmutableArray<Participant> _participants;
    private readonly CoordinatorOptions _options;
    private readonly ParticipantFailure?[] _gone;
    private readonly Queue<CoordinatorInput.Request> _waiting = new();
    private Round? _round;
    private PendingAppend? _pending;
    private CoordinatorInput.Stop? _stop;
    private bool _devicesToldToPark;
    private long _lastRound;
    private long _lastAppend;

    /// <summary>A coordinator that goes on from what the stream says.</summary>
    /// <param name="history">The stream, folded; it must be registered.</param>
    /// <param name="participants">All participants, each at the place that its index names.</param>
    /// <param name="options">Limits and retention.</param>
    public Coordinator(MachineHistory history, ImmutableArray<Participant> participants, CoordinatorOptions options)
    {
        ArgumentNullException.ThrowIfNull(history.Registration);
        for (var i = 0; i < participants.Length; i++)
            ArgumentOutOfRangeException.ThrowIfNotEqual(participants[i].Index, i);
        History = history;
        _participants = participants;
        _options = options;
        _gone = new ParticipantFailure?[participants.Length];
    }

    /// <summary>Where it stands.</summary>
    public RoundPhase Phase { get; private set; }

    /// <summary>What the stream says, as far as this coordinator knows.</summary>
    public MachineHistory History { get; private set; }

    /// <summary>Takes one input.</summary>
    /// <param name="input">What happened.</param>
    /// <param name="now">When.</param>
    /// <param name="effects">Receives what is to be done, in order.</param>
    public void Handle(CoordinatorInput input, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (input)
        {
            case CoordinatorInput.ParticipantParked parked when IsCurrent(parked.Round):
                OnParked(parked.Participant, now, effects);
                break;
            case CoordinatorInput.ParticipantCaptured captured when IsCurrent(captured.Round):
                OnCaptured(captured.Participant, now, effects);
                break;
            case CoordinatorInput.ParticipantResumed resumed when IsCurrent(resumed.Round):
                OnResumed(resumed.Participant, now, effects);
                break;
            case CoordinatorInput.ParticipantFailed failed when IsCurrent(failed.Round):
                OnFailed(failed.Participant, failed.Failure, now, effects);
                break;
            case CoordinatorInput.ParticipantGone gone:
                _gone[gone.Participant] ??= gone.Failure;
                OnFailed(gone.Participant, gone.Failure, now, effects);
                break;
            case CoordinatorInput.DeadlineReached deadline when IsCurrent(deadline.Round):
                OnDeadline(deadline.Phase, now, effects);
                break;
            case CoordinatorInput.PartsStored stored when IsCurrent(stored.Round):
                OnStored(stored.Parts, now, effects);
                break;
            case CoordinatorInput.PartsNotStored lost when IsCurrent(lost.Round):
                OnNotStored(lost.Reason, now, effects);
                break;
            case CoordinatorInput.AppendEnded ended when ended.AppendId == _pending?.AppendId:
                OnAppendEnded(ended.Result, now, effects);
                break;
            case CoordinatorInput.Recovered recovered when Phase == RoundPhase.Recovering:
                OnRecovered(recovered.History, now, effects);
                break;
            case CoordinatorInput.Request request:
                OnRequest(request, now, effects);
                break;
            default:
                // A report of a round, an append or a recovery that is over: late or doubled, so it says nothing any more.
                break;
        }
    }

    private bool IsCurrent(RoundId round) => _round is not null && _round.Id == round;

    private void OnRequest(CoordinatorInput.Request request, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.Fenced)
        {
            Refuse(request, new Refusal.OwnershipLost(), effects);
        }
        else if (Phase == RoundPhase.Stopped || _stop is not null)
        {
            Refuse(request, new Refusal.Stopping(), effects);
        }
        else if (request is CoordinatorInput.Stop stop)
        {
            _stop = stop;
            if (Phase == RoundPhase.Idle)
                BecomeIdle(now, effects);
        }
        else if (request is CoordinatorInput.BeginCheckpoint begin)
        {
            if (Phase != RoundPhase.Idle)
                Refuse(request, new Refusal.CheckpointAlreadyRunning(), effects);
            else
                Begin(begin, now, effects);
        }
        else if (Phase != RoundPhase.Idle)
        {
            _waiting.Enqueue(request);
        }
        else
        {
            Decide(request, now, effects);
        }
    }

    private void Begin(CoordinatorInput.BeginCheckpoint request, in Moment now, List<CoordinatorEffect> effects)
    {
        for (var i = 0; i < _gone.Length; i++)
        {
            if (_gone[i] is { } failure)
            {
                Refuse(request, new Refusal.ParticipantIsGone(_participants[i].Name, failure.Reason), effects);
                return;
            }
        }

        _round = new Round(new RoundId(++_lastRound), request, _participants, _options, now);
        // Both deadlines are set now: setting one inside the pause would cost the guests the timer's lock.
        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.ParkingVcpus, _options.ParkDeadline));
        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.Capturing, _options.ParkDeadline + _options.CaptureDeadline));
        Enter(RoundPhase.ParkingVcpus, ParticipantKind.Vcpu);
        Tell(ParticipantKind.Vcpu, _round.Park, effects);
        ContinuePark(now, effects);
    }

    private void OnParked(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase is not (RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices))
            return; // The round has been given up meanwhile, and this one has been told to run.
        if (_round!.MarkParked(participant))
            _round.Awaited--;
        ContinuePark(now, effects);
    }

    private void ContinuePark(in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.ParkingVcpus && _round!.Awaited == 0)
        {
            Enter(RoundPhase.ParkingDevices, ParticipantKind.Device);
            Tell(ParticipantKind.Device, _round.Park, effects);
        }

        if (Phase == RoundPhase.ParkingDevices && _round!.Awaited == 0)
        {
            _round.AllParked = now;
            Phase = RoundPhase.Capturing;
            _round.Awaited = _participants.Length;
            // The machine first: copying memory takes longest.
            Tell(ParticipantKind.Machine, _round.Capture, effects);
            Tell(ParticipantKind.Device, _round.Capture, effects);
            Tell(ParticipantKind.Vcpu, _round.Capture, effects);
        }
    }

    private void OnCaptured(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.Aborting)
            return;
        if (Phase != RoundPhase.Capturing)
            throw new UnreachableException($"{_participants[participant].Name} was captured in phase {Phase}.");
        if (_round!.MarkCaptured(participant))
            _round.Awaited--;
        if (_round.Awaited > 0)
            return;

        _round.AllCaptured = now;
        Enter(RoundPhase.ResumingDevices, ParticipantKind.Device);
        Tell(ParticipantKind.Device, _round.Resume, effects);
        if (_round.Awaited > 0)
            effects.Add(_round.DevicesMustResume);
        ContinueResume(now, effects);
    }

    private void OnResumed(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase is not (RoundPhase.ResumingDevices or RoundPhase.Storing or RoundPhase.Aborting))
            return;
        if (_round!.MarkResumed(participant))
            _round.Awaited--;
        ContinueResume(now, effects);
    }

    private void ContinueResume(in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.ResumingDevices && _round!.Awaited == 0)
            ResumeVcpus(now, effects);
        if (Phase == RoundPhase.Storing && _round!.Awaited <= 0)
            CommitIfComplete(now, effects);
        if (Phase == RoundPhase.Aborting && _round!.Awaited <= 0)
            AppendAbort(effects);
    }

    private void ResumeVcpus(in Moment now, List<CoordinatorEffect> effects)
    {
        Enter(RoundPhase.Storing, ParticipantKind.Vcpu);
        Tell(ParticipantKind.Vcpu, _round!.Resume, effects);
        _round.AllToldToRun = now;
        effects.Add(_round.VcpusMustResume);
        // All have been told to run, so the disk may begin; the commit waits until all do run, which is when the pause ends.
        effects.Add(new CoordinatorEffect.StoreParts(_round.Id, History.HighestNumber + 1, _round.Request.Id, History.Current));
    }

    private void OnFailed(int participant, ParticipantFailure failure, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (Phase)
        {
            case RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices or RoundPhase.Capturing:
                Abort(failure, _participants[participant].Name, now, effects);
                break;
            case RoundPhase.ResumingDevices or RoundPhase.Storing or RoundPhase.Aborting:
                // Its state was captured with the others' before it failed: that moment is consistent, so the round goes on
                // without its word.
                if (IsAwaitedToResume(participant))
                    OnResumed(participant, now, effects);
                break;
            default:
                break;
        }
    }

    private bool IsAwaitedToResume(int participant) => !_round!.HasResumed(participant) && _participants[participant].Kind switch
    {
        ParticipantKind.Vcpu => Phase != RoundPhase.ResumingDevices,
        ParticipantKind.Device => Phase != RoundPhase.Storing,
        _ => false,
    };

    private void OnDeadline(RoundPhase phase, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (phase)
        {
            case RoundPhase.ParkingVcpus when Phase is RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices:
                var kind = Phase == RoundPhase.ParkingVcpus ? ParticipantKind.Vcpu : ParticipantKind.Device;
                var late = _participants.First(p => p.Kind == kind && !_round!.HasParked(p.Index));
                Abort(new ParticipantFailure($"did not park within {Milliseconds(_options.ParkDeadline)} ms"), late.Name, now, effects);
                break;
            case RoundPhase.Capturing when Phase == RoundPhase.Capturing:
                var stuck = _participants.First(p => !_round!.HasCaptured(p.Index));
                Abort(new ParticipantFailure($"was not captured within {Milliseconds(_options.CaptureDeadline)} ms"), stuck.Name, now, effects);
                break;
            case RoundPhase.ResumingDevices when Phase == RoundPhase.ResumingDevices:
                ResumeVcpus(now, effects); // A device that hangs must not keep the guest.
                break;
            case RoundPhase.Storing when Phase == RoundPhase.Storing && _round!.Awaited > 0:
                _round.Awaited = 0; // It was captured at a consistent moment with the others: the checkpoint is good without its word.
                CommitIfComplete(now, effects);
                break;
            case RoundPhase.Aborting when Phase == RoundPhase.Aborting:
                AppendAbort(effects);
                break;
            default:
                break;
        }
    }

    private void Abort(ParticipantFailure failure, string participant, in Moment now, List<CoordinatorEffect> effects)
    {
        _round!.Abort = new MachineEvent.CheckpointAborted($"{participant} {failure.Reason}", participant, failure.Register, failure.Errno) { At = now.Wall };
        Phase = RoundPhase.Aborting;
        _round.Awaited = 0;
        foreach (var kind in (ReadOnlySpan<ParticipantKind>)[ParticipantKind.Device, ParticipantKind.Vcpu])
        {
            foreach (var each in _participants)
            {
                // Devices are told to park only after the vCPUs; one that was not told is still running.
                var told = kind == ParticipantKind.Vcpu || _round.HasParked(each.Index) || _devicesToldToPark;
                if (each.Kind != kind || !told || _gone[each.Index] is not null)
                    continue;
                effects.Add(_round.Resume[each.Index]);
                _round.Awaited++;
            }
        }

        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.Aborting, _options.ResumeDeadline));
        ContinueResume(now, effects);
    }

    private void Enter(RoundPhase phase, ParticipantKind kind)
    {
        Phase = phase;
        _devicesToldToPark = phase is not RoundPhase.ParkingVcpus;
        _round!.Awaited = 0;
        foreach (var participant in _participants)
        {
            if (participant.Kind == kind)
                _round.Awaited++;
        }
    }

    private void Tell<TEffect>(ParticipantKind kind, ImmutableArray<TEffect> prepared, List<CoordinatorEffect> effects)
        where TEffect : CoordinatorEffect
    {
        foreach (var participant in _participants)
        {
            if (participant.Kind == kind)
                effects.Add(prepared[participant.Index]);
        }
    }

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    private static void Refuse(CoordinatorInput.Request request, Refusal obstacle, List<CoordinatorEffect> effects) =>
        effects.Add(new CoordinatorEffect.Reply(request.RequestId, new CoordinatorReply.Refused(obstacle)));
}
