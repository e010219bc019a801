using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>
/// A world around one coordinator that does what it is asked in an order of its own, fails, dies, is late, says things twice
/// and makes things up. All of it follows from the seed.
/// </summary>
internal sealed class RandomWalk
{
    private const int MaxRemembered = 32;
    private static readonly ParticipantFailure Failure = new("failed");

    private readonly Random _random;
    private readonly ImmutableArray<Participant> _participants;
    private readonly Coordinator _coordinator;
    private readonly LawBook _laws;
    private readonly List<CoordinatorEffect> _effects = new(capacity: 64);
    private readonly List<CoordinatorInput> _owed = [];
    private readonly List<CoordinatorInput> _said = [];
    private readonly HashSet<int> _gone = [];
    private MachineHistory _journal = Streams.Of();
    private CoordinatorInput? _last;
    private long _lastRequest;
    private long _nowUs = 1;

    private RandomWalk(int seed)
    {
        _random = new Random(seed);
        var participants = ImmutableArray.CreateBuilder<Participant>();
        void Add(ParticipantKind kind, int count)
        {
            for (var i = 0; i < count; i++)
                participants.Add(new Participant(participants.Count, kind, kind.ToString()));
        }

        Add(ParticipantKind.Vcpu, _random.Next(1, 5));
        Add(ParticipantKind.Device, _random.Next(3));
        Add(ParticipantKind.Machine, _random.Next(2));
        _participants = participants.ToImmutable();
        _coordinator = new Coordinator(_journal, _participants, new CoordinatorOptions { Keep = _random.Next(4) is > 0 and var keep ? keep : null });
        _laws = new LawBook(_participants, _journal);
    }

    /// <summary>How many checkpoints the walk committed.</summary>
    public long Committed => _journal.HighestNumber;

    /// <summary>Walks so many inputs, then lets everything end.</summary>
    public static RandomWalk Walk(int seed, int inputs)
    {
        var walk = new RandomWalk(seed);
        var input = 0;
        try
        {
            for (; input < inputs; input++)
                walk.Step();
            walk.Rest();
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"Seed {seed}, input {input}, {walk._last} in {walk._coordinator.Phase}: {failure.Message}", failure);
        }

        return walk;
    }

    private void Step()
    {
        _nowUs += _random.Next(100);
        switch (_random.Next(100))
        {
            case < 8:
                Say(AnyRequest());
                break;
            case < 14 when _owed.Count > 0 && Pick(_owed) is var owed && ParticipantOf(owed) is { } who:
                _owed.Remove(owed);
                Say(new CoordinatorInput.ParticipantFailed(_laws.Round, who, Failure));
                break;
            case < 15 when _random.Next(4) == 0:
                Die(_random.Next(_participants.Length));
                break;
            case < 18:
                Say(new CoordinatorInput.DeadlineReached(_laws.Round, (RoundPhase)_random.Next(11)));
                break;
            case < 24 when _said.Count > 0:
                Say(Pick(_said));
                break;
            case < 28:
                SayLate();
                break;
            case < 30:
                SayImpossible();
                break;
            default:
                if (_owed.Count > 0)
                    Pay(_random.Next(_owed.Count));
                else
                    Say(Begin());
                break;
        }
    }

    /// <summary>Everything that is owed is delivered and every deadline comes.</summary>
    private void Rest()
    {
        const int MaxSteps = 200;
        var steps = 0;
        while (_owed.Count > 0 || _coordinator.Phase is not (RoundPhase.Idle or RoundPhase.Fenced or RoundPhase.Stopped))
        {
            Assert.True(steps++ < MaxSteps, "The coordinator does not come to rest.");
            if (_owed.Count > 0)
                Pay(0);
            else if (_coordinator.Phase is RoundPhase.ParkingDevices)
                Say(new CoordinatorInput.DeadlineReached(_laws.Round, RoundPhase.ParkingVcpus));
            else
                Say(new CoordinatorInput.DeadlineReached(_laws.Round, _coordinator.Phase));
        }

        Assert.Empty(_laws.Unanswered);
        Assert.True(_coordinator.Phase == RoundPhase.Fenced || Streams.SayTheSame(_journal, _coordinator.History), "The history is not the fold of what was appended.");
    }

    private CoordinatorInput.Request Begin() => new CoordinatorInput.BeginCheckpoint(++_lastRequest, new CheckpointId((UInt128)_lastRequest), CheckpointTrigger.Schedule, null);

    private CoordinatorInput.Request AnyRequest() => _random.Next(20) switch
    {
        < 10 => Begin(),
        < 14 => new CoordinatorInput.Pin(++_lastRequest, _random.NextInt64(_journal.HighestNumber + 2)),
        < 17 => new CoordinatorInput.Unpin(++_lastRequest, _random.NextInt64(_journal.HighestNumber + 2)),
        < 19 => new CoordinatorInput.Prune(++_lastRequest, _random.Next(1, 5)),
        _ when _random.Next(10) == 0 => new CoordinatorInput.Stop(++_lastRequest),
        _ => Begin(),
    };

    /// <summary>Does one thing that was asked for.</summary>
    private void Pay(int place)
    {
        var owed = _owed[place];
        _owed.RemoveAt(place);
        switch (owed)
        {
            case CoordinatorInput.PartsStored stored when _random.Next(10) == 0:
                Say(new CoordinatorInput.PartsNotStored(stored.Round, "disk full"));
                break;
            case CoordinatorInput.PartsStored stored when _journal.Current is { } parent && _journal.Live.ContainsKey(parent) && _random.Next(3) > 0:
                Say(stored with { Parts = stored.Parts with { Mode = CheckpointMode.Incremental } });
                break;
            case CoordinatorInput.AppendEnded ended:
                Say(ended with { Result = EndAppend(_laws.InFlight!) });
                break;
            case CoordinatorInput.Recovered:
                Say(new CoordinatorInput.Recovered(_journal));
                break;
            default:
                Say(owed);
                break;
        }
    }

    private AppendResult EndAppend(CoordinatorEffect.Append append)
    {
        switch (_random.Next(100))
        {
            case < 80:
                _journal = _journal.After(append.Events.AsSpan());
                return new AppendResult.Committed(_journal.Head);
            case < 88:
                return new AppendResult.Refused("disk full");
            case < 92:
                _journal = _journal.After(append.Events.AsSpan());
                return new AppendResult.Unknown("connection lost after the write");
            case < 97:
                return new AppendResult.Unknown("connection lost before the write");
            case < 98 when append.StateOf is not null:
                _journal = _journal.After(Streams.Aborted("somebody else's"));
                return new AppendResult.Unknown("connection lost to somebody else");
            case < 99:
                return new AppendResult.Unknown("connection lost before the write");
            default:
                return new AppendResult.Conflict();
        }
    }

    private void Die(int participant)
    {
        // Who has ended ends once, and says nothing more.
        var kind = _participants[participant].Kind;
        if (_coordinator.Phase == RoundPhase.ResumingDevices && kind == ParticipantKind.Vcpu)
            return;
        if (_coordinator.Phase == RoundPhase.Aborting && kind == ParticipantKind.Device)
            return;
        if (!_gone.Add(participant))
            return;
        _owed.RemoveAll(owed => ParticipantOf(owed) == participant);
        Say(new CoordinatorInput.ParticipantGone(participant, Failure));
    }

    /// <summary>Something about a round that is over or has never been.</summary>
    private void SayLate()
    {
        var round = new RoundId(_random.Next(2) == 0 ? _laws.Round.Value + 1 : _random.NextInt64(Math.Max(1, _laws.Round.Value)));
        var who = _random.Next(_participants.Length);
        Say(_random.Next(7) switch
        {
            0 => new CoordinatorInput.ParticipantParked(round, who),
            1 => new CoordinatorInput.ParticipantCaptured(round, who),
            2 => new CoordinatorInput.ParticipantResumed(round, who),
            3 => new CoordinatorInput.ParticipantFailed(round, who, Failure),
            4 => PartsOf(round),
            5 => new CoordinatorInput.PartsNotStored(round, "disk full"),
            _ => new CoordinatorInput.AppendEnded(-1, new AppendResult.Conflict()),
        });
        Assert.Empty(_effects);
    }

    /// <summary>Something that cannot be: the coordinator throws and does nothing.</summary>
    private void SayImpossible()
    {
        var phase = _coordinator.Phase;
        if (phase is not (RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices))
            return;
        _effects.Clear();
        _last = _random.Next(2) == 0 ? new CoordinatorInput.ParticipantCaptured(_laws.Round, 0) : PartsOf(_laws.Round);
        Assert.Throws<UnreachableException>(() => _coordinator.Handle(_last, Now(), _effects));
        Assert.Empty(_effects);
        Assert.Equal(phase, _coordinator.Phase);
    }

    private void Say(CoordinatorInput input)
    {
        _effects.Clear();
        if (!IsPossible(input))
            return;
        _last = input;
        _laws.Hear(input, _coordinator.Phase);
        _coordinator.Handle(input, Now(), _effects);
        _laws.Judge(_effects, _coordinator.Phase);
        if (input is not CoordinatorInput.Request && (RoundOf(input) ?? _laws.Round).Value <= _laws.Round.Value)
            Remember(input);
        foreach (var effect in _effects)
            Owe(effect);
    }

    /// <summary>What honest participants and an honest shell can say in this phase.</summary>
    private bool IsPossible(CoordinatorInput input) => input switch
    {
        CoordinatorInput.ParticipantCaptured captured when captured.Round == _laws.Round =>
            _coordinator.Phase is RoundPhase.Capturing or RoundPhase.Aborting,
        CoordinatorInput.PartsStored stored when stored.Round == _laws.Round => _coordinator.Phase == RoundPhase.Storing,
        CoordinatorInput.PartsNotStored lost when lost.Round == _laws.Round => _coordinator.Phase == RoundPhase.Storing,
        CoordinatorInput.AppendEnded => _coordinator.Phase != RoundPhase.Recovering,
        CoordinatorInput.Recovered recovered => _coordinator.Phase != RoundPhase.Recovering || recovered.History == _journal,
        _ => true,
    };

    private void Owe(CoordinatorEffect effect)
    {
        switch (effect)
        {
            case CoordinatorEffect.ParkParticipant park:
                _owed.Add(new CoordinatorInput.ParticipantParked(park.Round, park.Participant));
                break;
            case CoordinatorEffect.CaptureParticipant capture:
                _owed.Add(new CoordinatorInput.ParticipantCaptured(capture.Round, capture.Participant));
                break;
            case CoordinatorEffect.ResumeParticipant resume:
                // The newer request takes the place of the one before.
                if (_random.Next(2) == 0)
                    _owed.RemoveAll(owed => ParticipantOf(owed) == resume.Participant);
                _owed.Add(new CoordinatorInput.ParticipantResumed(resume.Round, resume.Participant));
                break;
            case CoordinatorEffect.StoreParts store:
                _owed.Add(PartsOf(store.Round));
                break;
            case CoordinatorEffect.Append append:
                _owed.Add(new CoordinatorInput.AppendEnded(append.AppendId, new AppendResult.Conflict()));
                break;
            case CoordinatorEffect.Recover:
                _owed.Add(new CoordinatorInput.Recovered(_journal));
                break;
            default:
                break;
        }
    }

    private void Remember(CoordinatorInput input)
    {
        if (_said.Count < MaxRemembered)
            _said.Add(input);
        else
            _said[_random.Next(MaxRemembered)] = input;
    }

    private Moment Now() => new(_nowUs, Streams.Noon);

    private T Pick<T>(List<T> from) => from[_random.Next(from.Count)];

    private static CoordinatorInput.PartsStored PartsOf(RoundId round) =>
        new(round, new StoredParts(default, null, CheckpointMode.Full, 0, 0, null, "msrs"));

    private static RoundId? RoundOf(CoordinatorInput input) => input switch
    {
        CoordinatorInput.ParticipantFailed failed => failed.Round,
        CoordinatorInput.PartsStored stored => stored.Round,
        CoordinatorInput.PartsNotStored lost => lost.Round,
        CoordinatorInput.ParticipantParked parked => parked.Round,
        CoordinatorInput.ParticipantCaptured captured => captured.Round,
        CoordinatorInput.ParticipantResumed resumed => resumed.Round,
        _ => null,
    };

    private static int? ParticipantOf(CoordinatorInput input) => input switch
    {
        CoordinatorInput.ParticipantParked parked => parked.Participant,
        CoordinatorInput.ParticipantCaptured captured => captured.Participant,
        CoordinatorInput.ParticipantResumed resumed => resumed.Participant,
        _ => null,
    };
}
