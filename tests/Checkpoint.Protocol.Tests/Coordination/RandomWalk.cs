using System.Collections.Immutable;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>
/// A world around one coordinator that does what it is asked in an order of its own, fails, dies, is late, says things twice
/// and makes things up. All of it follows from the seed.
/// </summary>
internal sealed partial class RandomWalk
{
    private const int MaxRemembered = 32;
    private static readonly RoundPhase[] Phases = Enum.GetValues<RoundPhase>();
    private static readonly ParticipantFailure Failure = new("failed");

    private readonly Random _random;
    private readonly ImmutableArray<Participant> _participants;
    private readonly Coordinator _coordinator;
    private readonly LawBook _laws;
    private readonly List<CoordinatorEffect> _effects = new(capacity: 64);
    private readonly List<CoordinatorInput> _owed = [];
    private readonly List<CoordinatorInput> _said = [];
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
                Say(new CoordinatorInput.DeadlineReached(_laws.Round, _random.Next(2) == 0 ? _coordinator.Phase : AnyOf(Phases)));
                break;
            case < 24 when _said.Count > 0:
                Say(Pick(_said));
                break;
            case < 28:
                SayLate();
                break;
            case < 32:
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
        < 18 => new CoordinatorInput.Prune(++_lastRequest, _random.Next(5)),
        < 19 => new CoordinatorInput.RecordRestore(++_lastRequest, Streams.Restored("web", 1, continues: _random.Next(2) == 0)),
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
                Say(new CoordinatorInput.PartsNotStored(stored.Round, "disk full", HasNoRoom: _random.Next(2) == 0));
                break;
            case CoordinatorInput.PartsStored stored when _journal.Current is { } parent && _journal.Live.ContainsKey(parent) && _random.Next(3) > 0:
                Say(stored with { Parts = stored.Parts with { Mode = CheckpointMode.Incremental } });
                break;
            case CoordinatorInput.AppendEnded ended:
                Say(ended with { Result = EndAppend(_laws.InFlight!) });
                break;
            case CoordinatorInput.Recovered recovered:
                Say(recovered with { History = _journal });
                break;
            default:
                Say(owed);
                break;
        }
    }

    private void Say(CoordinatorInput input)
    {
        // Nothing in a recovered stream says which recovery it belongs to: the shell answers each one once.
        if (input is CoordinatorInput.Recovered recovered && _coordinator.Phase == RoundPhase.Recovering && recovered.History != _journal)
            return;
        Tell(input);
        if (input is not CoordinatorInput.Request)
            Remember(input);
    }

    private void Tell(CoordinatorInput input)
    {
        _effects.Clear();
        _last = input;
        _laws.Hear(input, _coordinator.Phase);
        _coordinator.Handle(input, Now(), _effects);
        _laws.Judge(_effects, _coordinator.Phase);
        foreach (var effect in _effects)
            Owe(effect);
    }

    private void Owe(CoordinatorEffect effect)
    {
        switch (effect)
        {
            case CoordinatorEffect.PrepareParticipant prepare:
                _owed.Add(new CoordinatorInput.ParticipantPrepared(prepare.Round, prepare.Participant));
                break;
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
            case CoordinatorEffect.Recover recover:
                _owed.Add(new CoordinatorInput.Recovered(recover.AppendId, _journal));
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

    private T AnyOf<T>(T[] from) => from[_random.Next(from.Length)];

    private static CoordinatorInput.PartsStored PartsOf(RoundId round) =>
        new(round, new StoredParts(default, null, CheckpointMode.Full, 0, 0, null, "msrs"));

    private static RoundId? RoundOf(CoordinatorInput input) => input switch
    {
        CoordinatorInput.ParticipantFailed failed => failed.Round,
        CoordinatorInput.DeadlineReached deadline => deadline.Round,
        CoordinatorInput.PartsStored stored => stored.Round,
        CoordinatorInput.PartsNotStored lost => lost.Round,
        CoordinatorInput.ParticipantPrepared prepared => prepared.Round,
        CoordinatorInput.ParticipantParked parked => parked.Round,
        CoordinatorInput.ParticipantCaptured captured => captured.Round,
        CoordinatorInput.ParticipantResumed resumed => resumed.Round,
        _ => null,
    };

    private static int? ParticipantOf(CoordinatorInput input) => input switch
    {
        CoordinatorInput.ParticipantPrepared prepared => prepared.Participant,
        CoordinatorInput.ParticipantParked parked => parked.Participant,
        CoordinatorInput.ParticipantCaptured captured => captured.Participant,
        CoordinatorInput.ParticipantResumed resumed => resumed.Participant,
        _ => null,
    };
}
