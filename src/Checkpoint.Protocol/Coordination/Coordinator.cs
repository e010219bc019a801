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
///          BeginCheckpoint          prepared              all parked            all parked
///   Idle ──────────────▶ Preparing ─────────▶ ParkingVcpus ─────────▶ ParkingDevices ─────▶ Capturing
///    ▲                       │ failed, gone, deadline  │                    │            │      │ all captured
///    │                       │                         │                    │            │      ▼
///    │                       └────▶ Aborting ◀─────────┴────────────────────┴────────────┘  ResumingDevices
///    │                                 │ all resumed, deadline                                  │ all resumed, deadline
///    │                                 │                                                        ▼
///    │                                 │                                                  ResumingVcpus
///    │                                 │                                                        │ all resumed, a moment
///    │   Committed, Refused            ▼        PartsStored and all resumed                     ▼
///    ├───────────────────────────  Appending ◀─────────────────────────────────────────────  Storing
///    │                                 │  │     or PartsNotStored: the abort
///    │  Recovered                      │  └─ Conflict ─▶ Fenced
///    └──────────────── Recovering ◀────┘ Unknown
///                           └─ RecoveryFailed ─▶ Fenced
/// </code>
/// Until all is prepared the guest runs and nobody waits. The barrier: nothing is captured before all vCPUs and devices are parked, and nothing is stored before all have been told
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

    // State documents of pruned checkpoints that are still there: to delete them took more room than there was.
    private ImmutableArray<long> _documentsLeft = [];
    private PendingAppend? _pending;
    private CoordinatorInput.Stop? _stop;
    private bool _devicesToldToPark;
    private Refusal? _fencedBy;
    private long _lastRound;
    private double _pauseBesidesMemoryUs;
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
            case CoordinatorInput.ParticipantPrepared prepared when IsCurrent(prepared.Round):
                OnPrepared(prepared.Participant, now, effects);
                break;
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
            case CoordinatorInput.PartsStored stored when IsCurrent(stored.Round) && Phase == RoundPhase.Storing:
                OnStored(stored.Parts, now, effects);
                break;
            case CoordinatorInput.PartsNotStored lost when IsCurrent(lost.Round) && Phase == RoundPhase.Storing:
                OnNotStored(lost, now, effects);
                break;
            case CoordinatorInput.AppendEnded ended when Phase == RoundPhase.Appending && ended.AppendId == _pending?.AppendId:
                OnAppendEnded(ended.Result, now, effects);
                break;
            case CoordinatorInput.Recovered recovered when Phase == RoundPhase.Recovering && recovered.AppendId == _pending?.AppendId:
                OnRecovered(recovered, now, effects);
                break;
            case CoordinatorInput.RecoveryFailed failed when Phase == RoundPhase.Recovering && failed.AppendId == _pending?.AppendId:
                Fence(new Refusal.JournalLost(failed.Reason), effects);
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
            Refuse(request, _fencedBy!, effects);
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
            if (_round is not null)
                Refuse(request, new Refusal.CheckpointAlreadyRunning(), effects);
            else if (Phase == RoundPhase.Idle)
                Begin(begin, now, effects);
            else
                _waiting.Enqueue(request); // Behind the append of a pin or the like, which is no round.
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

        _round = new Round(new RoundId(++_lastRound), request, _participants, History, _options, Limit(), now);
        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.Preparing, _options.PrepareDeadline));
        Enter(RoundPhase.Preparing, ParticipantKind.Machine);
        Tell(ParticipantKind.Machine, _round.Prepare, effects);
        ContinuePrepare(now, effects);
    }

    // What the rest of the pause took of late is not there for the memory; but the memory has a quarter of it in any case.
    private PauseLimit? Limit() => _options.MaxPause is { } max
        ? new PauseLimit(max, TimeSpan.FromMicroseconds(Math.Max(max.TotalMicroseconds / 4, max.TotalMicroseconds - _pauseBesidesMemoryUs)), _options.OverMaxPause)
        : null;

    private static void Refuse(CoordinatorInput.Request request, Refusal obstacle, List<CoordinatorEffect> effects) =>
        effects.Add(new CoordinatorEffect.Reply(request.RequestId, new CoordinatorReply.Refused(obstacle)));
}
