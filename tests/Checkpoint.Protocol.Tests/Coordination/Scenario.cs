using System.Collections.Immutable;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>
/// One coordinator with a hand-made clock. What happens to it is said in words, and so is what it wants done: the effects of
/// the last input, one line each. The law book watches every input.
/// </summary>
internal sealed class Scenario
{
    private readonly Coordinator _coordinator;
    private readonly LawBook _laws;
    private readonly List<CoordinatorEffect> _effects = new(capacity: 64);
    private Moment _now = new(1_000_000, Streams.Noon);
    private long _lastRequest;
    private bool _hasThrown;

    public Scenario(ImmutableArray<Participant> participants, CoordinatorOptions options, MachineHistory history)
    {
        Participants = participants;
        _coordinator = new Coordinator(history, participants, options);
        _laws = new LawBook(participants, history);
    }

    public ImmutableArray<Participant> Participants { get; }

    public RoundPhase Phase => _coordinator.Phase;

    public MachineHistory History => _coordinator.History;

    public RoundId Round => _laws.Round;

    public IReadOnlyList<CoordinatorEffect> Effects => _effects;

    /// <summary>The stream's end if the append in flight is written.</summary>
    private JournalHead Intended => Streams.HeadAt(History.Head.SequenceNumber + _laws.InFlight!.Events.Length);

    /// <summary>A request for a checkpoint; where it begins a round, the machine prepares at once.</summary>
    public Scenario Begin(string? label = null)
    {
        BeginOnly(label);
        return Phase == RoundPhase.Preparing ? Prepared() : this;
    }

    /// <summary>A request for a checkpoint.</summary>
    public Scenario BeginOnly(string? label = null)
    {
        var request = ++_lastRequest;
        return When(new CoordinatorInput.BeginCheckpoint(request, new CheckpointId((UInt128)request), CheckpointTrigger.Request, label));
    }

    public Scenario Prepared() => Each(Names(ParticipantKind.Machine), who => new CoordinatorInput.ParticipantPrepared(Round, who));

    public Scenario Pin(long number) => When(new CoordinatorInput.Pin(++_lastRequest, number));

    public Scenario Unpin(long number) => When(new CoordinatorInput.Unpin(++_lastRequest, number));

    public Scenario Prune(int keep) => When(new CoordinatorInput.Prune(++_lastRequest, keep));

    public Scenario RecordRestore(MachineEvent.MachineRestored restored) => When(new CoordinatorInput.RecordRestore(++_lastRequest, restored));

    public Scenario Stop() => When(new CoordinatorInput.Stop(++_lastRequest));

    public Scenario Parked(params string[] names) => Each(names, who => new CoordinatorInput.ParticipantParked(Round, who));

    public Scenario Captured(params string[] names) => Each(names, who => new CoordinatorInput.ParticipantCaptured(Round, who));

    public Scenario Resumed(params string[] names) => Each(names, who => new CoordinatorInput.ParticipantResumed(Round, who));

    public Scenario Failed(string name, ParticipantFailure failure) => When(new CoordinatorInput.ParticipantFailed(Round, IndexOf(name), failure));

    public Scenario Failed(string name, string reason) => Failed(name, new ParticipantFailure(reason));

    public Scenario Gone(string name, string reason) => When(new CoordinatorInput.ParticipantGone(IndexOf(name), new ParticipantFailure(reason)));

    public Scenario Deadline(RoundPhase phase) => When(new CoordinatorInput.DeadlineReached(Round, phase));

    public Scenario Stored(CheckpointMode mode = CheckpointMode.Full, SegmentPart? segment = null) =>
        When(new CoordinatorInput.PartsStored(Round, new StoredParts(new StoredPart(Digest.Zero, 100), segment, mode, 8192, 2, 77, "msrs")));

    public Scenario NotStored(string reason, bool hasNoRoom = false) => When(new CoordinatorInput.PartsNotStored(Round, reason, hasNoRoom));

    public Scenario Appended() => AppendEnds(new AppendResult.Committed(Intended));

    /// <summary>The connection is lost before the journal has answered.</summary>
    public Scenario AppendIsLost() => AppendEnds(new AppendResult.Unknown("connection lost", Intended));

    public Scenario AppendEnds(AppendResult result) => When(new CoordinatorInput.AppendEnded(_laws.InFlight!.AppendId, result));

    public Scenario Recovered(MachineHistory history) => When(new CoordinatorInput.Recovered(_laws.InFlight!.AppendId, history));

    /// <summary>The stream is read again and ends with an abort that the shell has put in the append's place.</summary>
    public Scenario RecoveredWithAbortInstead()
    {
        var history = History.After(Streams.Aborted("the journal lost the write")).ByAnotherHand();
        return When(new CoordinatorInput.Recovered(_laws.InFlight!.AppendId, history, history.Head));
    }

    /// <summary>The stream is read again and holds the append whose end was unknown.</summary>
    public Scenario RecoveredWritten() => Recovered(History.After(_laws.InFlight!.Events.AsSpan()));

    /// <summary>Time passes.</summary>
    public Scenario Later(long microseconds)
    {
        _now = new Moment(_now.MonotonicUs + microseconds, _now.Wall.AddMicroseconds(microseconds));
        return this;
    }

    public Scenario BeginsAndAllPark()
    {
        Begin();
        Parked(Names(ParticipantKind.Vcpu));
        return Parked(Names(ParticipantKind.Device));
    }

    public Scenario AllAreCaptured() => Captured([.. Participants.Select(each => each.Name)]);

    public Scenario AllRun()
    {
        Resumed(Names(ParticipantKind.Device));
        return Resumed(Names(ParticipantKind.Vcpu));
    }

    /// <summary>A round whose vCPUs do not run again in the moment that storing waits for them.</summary>
    public Scenario StoresWhileVcpusWait()
    {
        BeginsAndAllPark().AllAreCaptured().Resumed(Names(ParticipantKind.Device));
        return Deadline(RoundPhase.ResumingVcpus);
    }

    /// <summary>A whole round up to the append, which is in flight.</summary>
    public Scenario UpToTheAppend(CheckpointMode mode = CheckpointMode.Full, SegmentPart? segment = null) =>
        BeginsAndAllPark().AllAreCaptured().AllRun().Stored(mode, segment);

    public Scenario TakesACheckpoint(CheckpointMode mode = CheckpointMode.Full, SegmentPart? segment = null) => UpToTheAppend(mode, segment).Appended();

    public Scenario When(CoordinatorInput input)
    {
        _effects.Clear();
        _laws.Hear(input, Phase);
        try
        {
            _coordinator.Handle(input, _now, _effects);
        }
        catch
        {
            _hasThrown = true; // The actor dies of it: nothing follows.
            throw;
        }

        _laws.Judge(_effects, Phase);
        return this;
    }

    /// <summary>The last input had these effects, in this order, and no others, but that the machine is told how its round ended: the law book sees to that.</summary>
    public Scenario Then(params string[] effects)
    {
        Assert.Equal(effects, _effects.Where(effect => effect is not CoordinatorEffect.SettleParticipant).Select(effect => EffectText.Of(effect, Participants)));
        return this;
    }

    /// <summary>The last input had this effect among others.</summary>
    public Scenario ThenAmongOthers(string effect)
    {
        Assert.Contains(effect, _effects.Select(each => EffectText.Of(each, Participants)));
        return this;
    }

    public Scenario ThenNothing()
    {
        Assert.Empty(_effects);
        return this;
    }

    public Scenario In(RoundPhase phase)
    {
        Assert.Equal(phase, Phase);
        return this;
    }

    /// <summary>Lets every phase end, so that whoever waits is answered, and sees that each request had its one reply.</summary>
    public void PlayToTheEnd()
    {
        if (_hasThrown)
            return;
        const int MaxSteps = 100;
        for (var step = 0; Phase is not (RoundPhase.Idle or RoundPhase.Fenced or RoundPhase.Stopped); step++)
        {
            Assert.True(step < MaxSteps, $"The coordinator stays in {Phase}.");
            _ = Phase switch
            {
                RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices => Deadline(RoundPhase.ParkingVcpus),
                RoundPhase.Preparing => Prepared(),
                RoundPhase.Storing => Deadline(RoundPhase.Storing).Phase == RoundPhase.Storing ? Stored() : this,
                RoundPhase.Appending => Appended(),
                RoundPhase.Recovering => Recovered(History),
                var other => Deadline(other),
            };
        }

        Assert.Empty(_laws.Unanswered);
        Assert.True(Phase == RoundPhase.Fenced || Streams.SayTheSame(_laws.Stream, History), "The coordinator's history is not the stream's.");
    }

    private string[] Names(ParticipantKind kind) => [.. Participants.Where(each => each.Kind == kind).Select(each => each.Name)];

    private int IndexOf(string name) => Participants.Single(each => each.Name == name).Index;

    private Scenario Each(string[] names, Func<int, CoordinatorInput> report)
    {
        foreach (var name in names)
            When(report(IndexOf(name)));
        return this;
    }
}
