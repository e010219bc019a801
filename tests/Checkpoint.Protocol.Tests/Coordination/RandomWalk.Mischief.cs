using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <content>What goes wrong in the world: appends whose end is unknown, deaths, and reports that are late or cannot be.</content>
internal sealed partial class RandomWalk
{
    private AppendResult EndAppend(CoordinatorEffect.Append append)
    {
        var written = _journal.After(append.Events.AsSpan());
        switch (_random.Next(100))
        {
            case < 80:
                _journal = written;
                return new AppendResult.Committed(_journal.Head);
            case < 88:
                return new AppendResult.Refused("disk full", HasNoRoom: _random.Next(2) == 0);
            case < 92:
                _journal = written;
                return new AppendResult.Unknown("connection lost after the write", written.Head);
            case < 97:
                return new AppendResult.Unknown("connection lost before the write", written.Head);
            case < 99:
                _journal = WrittenByAnother(written);
                return new AppendResult.Unknown("connection lost to somebody else", written.Head);
            default:
                return new AppendResult.Conflict();
        }
    }

    /// <summary>Another event in the place of ours, our words in other bytes, other bytes before ours, or more than ours.</summary>
    private MachineHistory WrittenByAnother(MachineHistory ours) => _random.Next(4) switch
    {
        0 => _journal.After(Streams.Aborted("somebody else's")).ByAnotherHand(),
        1 => ours.ByAnotherHand(),
        2 => _journal.ByAnotherHand(),
        _ => ours.After(Streams.Aborted("somebody else's")),
    };

    /// <summary>Somebody ends, perhaps again, and does nothing more that it was asked for.</summary>
    private void Die(int participant)
    {
        _owed.RemoveAll(owed => ParticipantOf(owed) == participant);
        Say(new CoordinatorInput.ParticipantGone(participant, Failure));
    }

    /// <summary>Something about a round that is over or has never been.</summary>
    private void SayLate()
    {
        var round = new RoundId(_random.Next(2) == 0 ? _laws.Round.Value + 1 : _random.NextInt64(Math.Max(1, _laws.Round.Value)));
        var report = AnyReport(round, _random.Next(_participants.Length));
        if (RoundOf(report) is not null)
            SayInVain(report);
    }

    /// <summary>Something about this round that nobody asked for; what the coordinator dies of is left to tests of its own.</summary>
    private void SayImpossible()
    {
        var who = _random.Next(_participants.Length);
        var report = AnyReport(_laws.Round, who);
        if (IsImpossible(report, _participants[who].Kind, _coordinator.Phase))
            SayInVain(report);
    }

    /// <summary>What is not true now may be impossible later: it is not remembered to be said again.</summary>
    private void SayInVain(CoordinatorInput report)
    {
        var phase = _coordinator.Phase;
        Tell(report);
        Assert.Empty(_effects);
        Assert.Equal(phase, _coordinator.Phase);
    }

    private CoordinatorInput AnyReport(RoundId round, int who) => _random.Next(10) switch
    {
        9 => new CoordinatorInput.ParticipantPrepared(round, who),
        0 => new CoordinatorInput.ParticipantParked(round, who),
        1 => new CoordinatorInput.ParticipantCaptured(round, who),
        2 => new CoordinatorInput.ParticipantResumed(round, who),
        3 => new CoordinatorInput.ParticipantFailed(round, who, Failure),
        4 => PartsOf(round),
        5 => new CoordinatorInput.PartsNotStored(round, "disk full"),
        6 => new CoordinatorInput.DeadlineReached(round, AnyOf(Phases)),
        7 => new CoordinatorInput.AppendEnded(_random.Next(2) == 0 ? -1 : _laws.InFlight?.AppendId ?? -1, new AppendResult.Conflict()),
        _ => new CoordinatorInput.Recovered(_random.Next(2) == 0 ? -1 : (_laws.InFlight?.AppendId ?? 0) - 1, Streams.Of()),
    };

    /// <summary>Whether a report of the round begun last cannot be true in this phase, and must change nothing.</summary>
    private static bool IsImpossible(CoordinatorInput report, ParticipantKind kind, RoundPhase phase) => report switch
    {
        CoordinatorInput.ParticipantPrepared => phase != RoundPhase.Preparing,
        CoordinatorInput.ParticipantParked => phase is not (RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices),
        CoordinatorInput.ParticipantCaptured => phase is not (RoundPhase.Preparing or RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices or RoundPhase.Capturing),
        CoordinatorInput.ParticipantResumed => kind switch
        {
            ParticipantKind.Vcpu => phase is not (RoundPhase.ResumingDevices or RoundPhase.ResumingVcpus or RoundPhase.Storing or RoundPhase.Aborting),
            ParticipantKind.Device => phase is not (RoundPhase.ResumingDevices or RoundPhase.Aborting),
            _ => true,
        },
        CoordinatorInput.ParticipantFailed => phase is RoundPhase.Idle or RoundPhase.Appending or RoundPhase.Recovering or RoundPhase.Fenced or RoundPhase.Stopped,
        CoordinatorInput.PartsStored or CoordinatorInput.PartsNotStored => phase != RoundPhase.Storing,
        CoordinatorInput.DeadlineReached deadline => deadline.Phase != phase && (deadline.Phase, phase) is not (
            (RoundPhase.ParkingVcpus, RoundPhase.ParkingDevices) or (RoundPhase.Storing, RoundPhase.ResumingVcpus)),
        CoordinatorInput.AppendEnded => phase != RoundPhase.Appending,
        CoordinatorInput.Recovered => phase != RoundPhase.Recovering,
        _ => false,
    };
}
