using System.Collections.Immutable;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>
/// Watches a coordinator from outside and fails at the first effect that breaks a law of the protocol, whatever the test is
/// about: the barrier, one resume for each park, one append at a time, one reply for each request.
/// </summary>
internal sealed class LawBook
{
    private readonly ImmutableArray<Participant> _participants;
    private readonly uint _vcpus;
    private readonly uint _devices;
    private readonly uint _machines;
    private readonly uint _everybody;
    private readonly HashSet<long> _open = [];
    private readonly HashSet<long> _answered = [];
    private readonly HashSet<long> _committed = [];
    private RoundFacts _round = new(new RoundId(0));
    private CoordinatorEffect.Append? _inFlight;
    private JournalHead _intended;
    private bool _isEndUnknown;
    private bool _isLostToUs;
    private uint _gone;

    public LawBook(ImmutableArray<Participant> participants, MachineHistory stream)
    {
        _participants = participants;
        _vcpus = All(ParticipantKind.Vcpu);
        _devices = All(ParticipantKind.Device);
        _machines = All(ParticipantKind.Machine);
        _everybody = _vcpus | _devices | _machines;
        Stream = stream;
    }

    /// <summary>What the journal holds, folded from the appends whose end the coordinator was told.</summary>
    public MachineHistory Stream { get; private set; }

    /// <summary>The round begun last.</summary>
    public RoundId Round => _round.Id;

    /// <summary>The append whose end has not been told.</summary>
    public CoordinatorEffect.Append? InFlight => _inFlight;

    /// <summary>Requests without a reply.</summary>
    public IReadOnlyCollection<long> Unanswered => _open;

    /// <summary>Notes an input before the coordinator takes it.</summary>
    public void Hear(CoordinatorInput input, RoundPhase phase)
    {
        switch (input)
        {
            case CoordinatorInput.Request request:
                Law(_open.Add(request.RequestId) && !_answered.Contains(request.RequestId), "a request has a number of its own");
                break;
            case CoordinatorInput.ParticipantPrepared prepared when prepared.Round == Round && phase == RoundPhase.Preparing:
                _round.Prepared |= Bit(prepared.Participant);
                break;
            case CoordinatorInput.ParticipantParked parked when parked.Round == Round && phase is RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices:
                _round.Parked |= Bit(parked.Participant);
                break;
            case CoordinatorInput.ParticipantCaptured captured when captured.Round == Round && phase == RoundPhase.Capturing:
                _round.Captured |= Bit(captured.Participant);
                break;
            case CoordinatorInput.ParticipantResumed resumed when resumed.Round == Round:
                _round.Runs |= Bit(resumed.Participant) & _round.ToldToResume;
                break;
            case CoordinatorInput.ParticipantFailed failed when failed.Round == Round:
                _round.Runs |= Bit(failed.Participant) & _round.ToldToResume;
                break;
            case CoordinatorInput.ParticipantGone gone:
                _gone |= Bit(gone.Participant);
                break;
            case CoordinatorInput.DeadlineReached deadline when deadline.Round == Round:
                _round.NoteDeadline(deadline.Phase, phase);
                break;
            case CoordinatorInput.PartsStored stored when stored.Round == Round && phase == RoundPhase.Storing && !_round.IsLost:
                _round.IsStored = true;
                break;
            case CoordinatorInput.PartsNotStored lost when lost.Round == Round && phase == RoundPhase.Storing && !_round.IsStored:
                _round.IsLost = true;
                break;
            case CoordinatorInput.AppendEnded ended when ended.AppendId == _inFlight?.AppendId && !_isEndUnknown:
                HearEnd(_inFlight, ended.Result);
                break;
            case CoordinatorInput.Recovered recovered when _isEndUnknown && recovered.AppendId == _inFlight?.AppendId:
                HearRecovery(_inFlight!, recovered);
                break;
            case CoordinatorInput.RecoveryFailed failed when _isEndUnknown && failed.AppendId == _inFlight?.AppendId:
                _isLostToUs = true;
                _inFlight = null;
                _isEndUnknown = false;
                break;
            default:
                break;
        }
    }

    /// <summary>Judges what the coordinator made of the input.</summary>
    public void Judge(List<CoordinatorEffect> effects, RoundPhase phase)
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case CoordinatorEffect.SetDeadline deadline:
                    Follow(deadline.Round);
                    break;
                case CoordinatorEffect.PrepareParticipant prepare:
                    JudgePrepare(prepare);
                    break;
                case CoordinatorEffect.SettleParticipant settle:
                    JudgeSettle(settle);
                    break;
                case CoordinatorEffect.ParkParticipant park:
                    Follow(park.Round);
                    JudgePark(Bit(park.Participant));
                    break;
                case CoordinatorEffect.CaptureParticipant capture:
                    JudgeCapture(Bit(capture.Participant));
                    break;
                case CoordinatorEffect.ResumeParticipant resume:
                    JudgeResume(Bit(resume.Participant), phase);
                    break;
                case CoordinatorEffect.StoreParts store:
                    JudgeStore(store);
                    break;
                case CoordinatorEffect.DiscardParts discard:
                    Law(discard.Round == Round && !_round.IsDiscarded, "the parts of a round are given up once");
                    _round.IsDiscarded = true;
                    break;
                case CoordinatorEffect.Append append:
                    JudgeAppend(append);
                    break;
                case CoordinatorEffect.Recover:
                    Law(_isEndUnknown, "only an unknown end is recovered from");
                    break;
                case CoordinatorEffect.Reply reply:
                    Law(_open.Remove(reply.RequestId) && _answered.Add(reply.RequestId), "a request is answered once");
                    if (reply.Answer is CoordinatorReply.Committed committed)
                        Law(_committed.Contains(committed.Checkpoint.Number), "no reply says committed before the append has ended");
                    if (reply.Answer is CoordinatorReply.Refused { Obstacle: Refusal.CheckpointAlreadyRunning })
                        Law(IsRound(phase), "only a round keeps another from beginning");
                    break;
                default:
                    break;
            }
        }

        Law((phase == RoundPhase.Fenced) == _isLostToUs, "the coordinator is fenced when somebody else has written or the stream is lost, and only then");
        Law(
            phase is not (RoundPhase.Idle or RoundPhase.Fenced or RoundPhase.Stopped) || Has(_round.Settled | _gone, _round.ToldToPrepare),
            "who has prepared a round is told how it ended");
        Law((_inFlight is not null) == (phase is RoundPhase.Appending or RoundPhase.Recovering), "an append is in flight in its phases, and only then");
        Law((phase == RoundPhase.Recovering) == _isEndUnknown, "an unknown end is recovered from");
        Law(IsSomebodyAwaited(phase), "a phase ends when nobody is waited for any more");
        Law(
            phase is RoundPhase.Preparing or RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices or RoundPhase.Capturing or RoundPhase.ResumingDevices
            || Has(_round.ToldToResume | _gone, _round.ToldToPark),
            "everybody who was told to park is told to run");
    }

    private void HearEnd(CoordinatorEffect.Append append, AppendResult result)
    {
        switch (result)
        {
            case AppendResult.Committed committed:
                Write(append, Stream.After(append.Events.AsSpan()) with { Head = committed.Head });
                break;
            case AppendResult.Unknown unknown:
                _isEndUnknown = true;
                _intended = unknown.Intended;
                break;
            default:
                // A commit that there is no room for makes room: its round is given up as if its parts had not been stored.
                _round.IsLost |= append.StateOf is not null && result is AppendResult.Refused { HasNoRoom: true };
                _inFlight = null;
                _isLostToUs = result is AppendResult.Conflict;
                break;
        }
    }

    // A stream with the same end says the same; only from which checkpoint the machine goes on it cannot know.
    private void HearRecovery(CoordinatorEffect.Append append, CoordinatorInput.Recovered recovered)
    {
        var found = recovered.History.Head;
        if (found == _intended)
            Write(append, Stream.After(append.Events.AsSpan()) with { Head = found });
        else if (found == recovered.WrittenInstead)
            Stream = Stream with { Head = found };
        else
            _isLostToUs = found != Stream.Head;
        _inFlight = null;
        _isEndUnknown = false;
    }

    private void Write(CoordinatorEffect.Append append, MachineHistory stream)
    {
        Stream = stream;
        _inFlight = null;
        foreach (var committed in append.Events.OfType<MachineEvent.CheckpointCommitted>())
        {
            _round.IsCommitted = true;
            Law(_committed.Add(committed.Number), "a number is never used twice");
        }
    }

    private void Follow(RoundId round)
    {
        Law(round.Value >= Round.Value, "rounds follow each other");
        if (round != Round)
            _round = new RoundFacts(round);
    }

    private void JudgePrepare(CoordinatorEffect.PrepareParticipant prepare)
    {
        var who = Bit(prepare.Participant);
        Law((who & _machines) != 0 && (_round.ToldToPrepare & who) == 0, "the machine is told to prepare once");
        Law(_round.ToldToPark == 0, "nobody is parked before all is prepared");
        _round.ToldToPrepare |= who;
        _round.Mode = prepare.Mode;
    }

    private void JudgeSettle(CoordinatorEffect.SettleParticipant settle)
    {
        var who = Bit(settle.Participant);
        Law(settle.Round == Round && Has(_round.ToldToPrepare, who), "only who was told to prepare a round is told how it ended");
        Law((_round.Settled & who) == 0, "a round ends once for everybody");
        Law(settle.IsCommitted == _round.IsCommitted, "what was taken is let go when the checkpoint is in the journal, and only then");
        _round.Settled |= who;
    }

    private void JudgePark(uint who)
    {
        Law(Has(_round.Prepared, _machines), "nobody is told to park before the machine is prepared");
        Law((_round.ToldToPark & who) == 0, "nobody is told to park twice");
        Law((_gone & who) == 0, "nobody who is gone is told to park");
        Law((who & _devices) == 0 || Has(_round.Parked, _vcpus), "devices park after the vCPUs");
        _round.ToldToPark |= who;
    }

    private void JudgeCapture(uint who)
    {
        Law(Has(_round.Parked, _vcpus | _devices), "nothing is captured before all are parked");
        Law(_round.ToldToResume == 0, "nothing is captured once somebody was told to run");
        Law((_round.ToldToCapture & who) == 0, "nobody is captured twice");
        _round.ToldToCapture |= who;
    }

    private void JudgeResume(uint who, RoundPhase phase)
    {
        Law(Has(_round.ToldToPark, who), "only who was told to park is told to run");
        Law((_round.ToldToResume & who) == 0, "nobody is told to run twice");
        Law((_gone & who) == 0, "nobody who is gone is told to run");
        Law(
            Has(_round.Captured, _everybody) || phase is RoundPhase.Aborting or RoundPhase.Appending,
            "nobody runs before all are captured or the round is given up");
        Law(
            (who & _vcpus) == 0 || Has(_round.ToldToResume | _gone, _round.ToldToPark & _devices),
            "devices run before the vCPUs");
        _round.ToldToResume |= who;
    }

    private void JudgeStore(CoordinatorEffect.StoreParts store)
    {
        Law(store.Round == Round && !_round.IsToldToStore, "the parts of a round are stored once");
        Law(Has(_round.Captured, _everybody), "parts are stored when all are captured");
        Law(Has(_round.ToldToResume | _gone, _vcpus), "parts are stored when all have been told to run");
        Law(
            _round.Was(RoundPhase.ResumingVcpus) || _round.Was(RoundPhase.Storing) || Has(_round.Runs | _gone, _vcpus),
            "storing waits a moment for the vCPUs");
        Law((store.Number, store.Parent) == (Stream.HighestNumber + 1, Stream.Current), "a checkpoint's number follows the highest");
        _round.IsToldToStore = true;
    }

    private bool IsRound(RoundPhase phase) => phase is RoundPhase.Appending or RoundPhase.Recovering
        ? _inFlight!.Events[0] is MachineEvent.CheckpointCommitted or MachineEvent.CheckpointAborted
        : phase is not (RoundPhase.Idle or RoundPhase.Fenced or RoundPhase.Stopped);

    private bool IsSomebodyAwaited(RoundPhase phase)
    {
        var runs = _round.Runs | _gone;
        return phase switch
        {
            RoundPhase.Preparing => !Has(_round.Prepared, _machines) && !_round.Was(RoundPhase.Preparing),
            RoundPhase.ParkingVcpus => !Has(_round.Parked, _vcpus),
            RoundPhase.ParkingDevices => !Has(_round.Parked, _devices),
            RoundPhase.Capturing => !Has(_round.Captured, _everybody),
            RoundPhase.ResumingDevices => !Has(runs, _devices) && !_round.Was(RoundPhase.ResumingDevices),
            RoundPhase.ResumingVcpus => !Has(runs, _vcpus) && !_round.Was(RoundPhase.ResumingVcpus) && !_round.Was(RoundPhase.Storing),
            RoundPhase.Storing => !(_round.IsStored || _round.IsLost) || (!Has(runs, _vcpus) && !_round.Was(RoundPhase.Storing)),
            RoundPhase.Aborting => !Has(runs, _round.ToldToResume) && !_round.Was(RoundPhase.Aborting),
            _ => true,
        };
    }

    private void JudgeAppend(CoordinatorEffect.Append append)
    {
        Law(_inFlight is null, "one append at a time");
        Law(append.Expected == Stream.Head, "an append expects the end that the stream has");
        _inFlight = append;
        var runs = _round.Runs | _gone;
        switch (append.Events[0])
        {
            case MachineEvent.CheckpointCommitted committed:
                Law(_round.IsStored && !_round.IsLost && !_round.IsDiscarded, "nothing is committed before its parts are stored");
                Law(append.StateOf == Round, "a commit brings its own state document");
                Law(committed.Number == Stream.HighestNumber + 1, "numbers grow by one");
                Law(_round.Was(RoundPhase.Storing) || Has(runs, _vcpus), "the commit waits for the vCPUs, or for their deadline");
                Law(_round.Was(RoundPhase.ResumingDevices) || Has(runs, _devices), "the vCPUs wait for the devices, or for their deadline");
                break;
            case MachineEvent.CheckpointAborted:
                Law(_round.IsDiscarded, "the parts of a round that is given up are discarded");
                Law(
                    _round.IsToldToStore
                        ? _round.IsLost && (_round.Was(RoundPhase.Storing) || Has(runs, _vcpus))
                        : _round.Was(RoundPhase.Aborting) || Has(runs, _round.ToldToResume),
                    "the abort waits until all run, or for their deadline");
                break;
            default:
                break;
        }
    }

    private uint All(ParticipantKind kind) =>
        _participants.Where(each => each.Kind == kind).Aggregate(0u, (sum, each) => sum | Bit(each.Index));

    private static uint Bit(int participant) => 1u << participant;

    private static bool Has(uint set, uint all) => (set & all) == all;

    private static void Law(bool holds, string law)
    {
        if (!holds)
            Assert.Fail($"A law is broken: {law}.");
    }
}
