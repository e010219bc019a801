using System.Globalization;
using Akka.Actor;
using Akka.Event;
using Checkpoint.Actors.Akka.Coordination;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Participants;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Machines;

/// <summary>
/// A machine's actor, <c>/user/checkpoint/NAME</c>: the parent of its coordinator and its participants, and who takes the
/// messages of the user's own actors. A participant's actor that throws is restarted and goes on with the fd it had; a
/// coordinator's actor that ended because its journal failed gets another life.
/// </summary>
internal sealed class MachineGuardian : ReceiveActor, IWithTimers
{
    private const string CoordinatorName = "coordinator";

    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly CoordinatorShell _shell;
    private readonly TimeProvider _time;
    private readonly string _name;
    private IActorRef? _coordinator;
    private Exception? _thrown;
    private AppendDoubt? _doubted;
    private bool _isDeadlineOver;

    public MachineGuardian(CoordinatorShell shell, TimeProvider time)
    {
        _shell = shell;
        _time = time;
        _name = shell.Held.Vm;
        Receive<CoordinatorInput>(OnInput);
        Receive<CoordinatorShell.Attach>(attach => MachineDoor.Announce(attach.Attached, Context.System.EventStream));
        Receive<MachineCommand>(OnCommand);
        Receive<StreamUnreadable>(unreadable => _thrown = unreadable.Reason);
        Receive<Terminated>(terminated => terminated.ActorRef.Equals(_coordinator), _ => OnCoordinatorEnded());
        // A settlement that comes after the deadline is nobody's any more.
        Receive<Settled>(settled => settled.AppendId == _shell.InDoubt?.AppendId, _ =>
        {
            _shell.BecomeSettled();
            Begin();
        });
        Receive<NotSettled>(obstacle => obstacle.AppendId == _shell.InDoubt?.AppendId, obstacle => TryAgain(obstacle.Reason));
        Receive<Again>(_ => Settle());
        Receive<GiveUp>(giveUp => giveUp.AppendId == _shell.InDoubt?.AppendId, _ => OnDeadline());
        Receive<JournalPassed>(_ => OnJournalPassed());
        Receive<Settlement>(_ => { });
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(
        maxNrOfRetries: -1,
        withinTimeRange: Timeout.InfiniteTimeSpan,
        localOnlyDecider: failure =>
        {
            if (!Sender.Equals(_coordinator))
            {
                // What cannot be made once cannot be made again.
                if (failure is not ActorInitializationException)
                    return Directive.Restart;
                _log.Error(failure, "The actor {0} of the machine {1} cannot be made.", Sender.Path.Name, _name);
                FailToStart(failure);
                return Directive.Stop;
            }

            _thrown = failure;
            return Directive.Stop;
        });

    protected override void PreStart()
    {
        _shell.Guardian = Self;
        foreach (var participant in _shell.Host.Participants)
        {
            var owned = _shell.Host.Actors[participant.Index];
            var props = participant.Kind switch
            {
                ParticipantKind.Vcpu => Props.Create(() => new VcpuActor(participant.Index, (Actors.Hosting.VcpuActor)owned)),
                ParticipantKind.Device => Props.Create(() => new DeviceActor(participant, owned, DeviceOf(participant), _shell)),
                _ => Props.Create(() => new MachineActor(owned)),
            };
            // Two devices' names may become one: "disk a" and "disk-a".
            var name = participant.Kind == ParticipantKind.Device
                ? string.Create(CultureInfo.InvariantCulture, $"{participant.Name}-{participant.Index}")
                : participant.Name;
            name = Uri.EscapeDataString(name.Replace(' ', '-'));
            _shell.Participants[participant.Index] = Context.ActorOf(props.WithDispatcher(CheckpointSettings.Dispatcher), name);
        }

        Begin();
    }

    protected override void PostStop()
    {
        // Also where nobody has stopped the machine: the vCPUs have been told to park and end by their actors.
        _ = StopAsync(_shell, _time);
        _shell.OnGuardianEnded();
    }

    private static async Task StopAsync(CoordinatorShell shell, TimeProvider time)
    {
        // Before it is ready none of its threads has been started.
        if (shell.IsReady)
            await shell.Host.StopAsync(shell.Settings.StopPatience, time).ConfigureAwait(false);
        await shell.CloseAsync().ConfigureAwait(false);
    }

    private void Begin()
    {
        _thrown = null;
        _coordinator = Context.ActorOf(
            Props.Create(() => new CoordinatorActor(_shell)).WithDispatcher(CheckpointSettings.Dispatcher), CoordinatorName);
        Context.Watch(_coordinator);
    }

    private void OnInput(CoordinatorInput input)
    {
        if (_coordinator is not null)
            _coordinator.Tell(input);
        else if (_shell.Coordinator.Phase == RoundPhase.Fenced)
            _shell.Handle(input, CarryOutFenced);
    }

    private void OnCommand(MachineCommand command)
    {
        if (_shell.Attached is { } attached)
            MachineDoor.Handle(command, attached, _shell, Sender, Self);
        else
            Sender.Tell(new Status.Failure(new InvalidOperationException($"The machine '{_name}' is not attached yet.")), Self);
    }

    private void OnCoordinatorEnded()
    {
        _coordinator = null;
        _shell.Actor = ActorRefs.Nobody;
        var reason = _thrown;
        if (!_shell.IsReady)
        {
            if (reason is SnapshotDoubtedException && !_shell.DoubtsSnapshots)
            {
                _shell.DoubtsSnapshots = true;
                Begin();
                return;
            }

            FailToStart(reason);
        }
        else if (_shell.InFlight is not null)
        {
            _shell.PassJournalAsync().PipeTo(Self, success: () => JournalPassed.Instance);
        }
        else if (_shell.InDoubt is { } doubt && doubt != _doubted)
        {
            _log.Warning("The journal of the machine {0} may or may not have taken the last write; it is settled, and the stream is read again.", _name);
            _shell.DoubtsSnapshots = true;
            (_doubted, _isDeadlineOver) = (doubt, false);
            _shell.Notices.Tell(new MachineNotice.AppendUnknown(doubt.Reason));
            Timers.StartSingleTimer(nameof(GiveUp), new GiveUp(doubt.AppendId), _shell.Options.RecoverDeadline);
            Settle();
        }
        else if (_shell.InDoubt is not null)
        {
            TryAgain(reason?.Message ?? "the stream could not be read");
        }
        else if (_shell.Coordinator.Phase == RoundPhase.Fenced)
        {
            // Its guardian answers what a fenced coordinator can answer.
        }
        else if (reason is null or ActorKilledException && _shell.Coordinator.Phase is RoundPhase.Idle or RoundPhase.Stopped)
        {
            Begin(); // Somebody stopped or killed the actor while nothing was under way.
        }
        else
        {
            Abandon(reason);
        }
    }

    // The coordinator ended with an append in flight. Answered or not: settled, the stream says what became of it.
    private void OnJournalPassed()
    {
        if (_shell.InFlight is not { } append)
            return;
        const string Doubt = "its coordinator was stopped meanwhile";
        _shell.InFlight = null;
        _shell.BecomeDoubtful(append.AppendId, Doubt);
        _shell.Handle(new CoordinatorInput.AppendEnded(append.AppendId, new AppendResult.Unknown(Doubt, append.Intended)), CarryOutFenced);
        OnCoordinatorEnded();
    }

    private void Abandon(Exception? reason)
    {
        if (reason is null or ActorKilledException)
            reason = new InvalidOperationException("it was stopped while it was at work");
        _log.Error(reason, "The coordinator of the machine {0} has ended; its guest runs on without checkpoints.", _name);
        _shell.Abandon(reason);
        _shell.Attached?.OnCoordinatorLost($"the coordinator has ended: {reason.Message}");
    }

    private void FailToStart(Exception? reason)
    {
        if (_shell.IsReady)
            return;
        _shell.FailToStart(Unusable(reason));
        Context.Stop(Self);
    }

    private void Settle()
    {
        var (doubt, journal) = (_shell.InDoubt!, _shell.Store.Journal);
        doubt.BeginAttempt();
        Task.Run(() => doubt.Settlement.SettleAsync(journal, CancellationToken.None)).PipeTo(
            Self,
            success: () => new Settled(doubt.AppendId),
            failure: failure => new NotSettled(doubt.AppendId, failure.GetBaseException().Message));
    }

    private void TryAgain(string obstacle)
    {
        var doubt = _shell.InDoubt!;
        doubt.EndAttempt(obstacle);
        if (_isDeadlineOver)
        {
            LoseJournal();
            return;
        }

        _shell.Notices.Tell(new MachineNotice.StoreAway(doubt.Attempts, doubt.Wait, obstacle));
        Timers.StartSingleTimer(nameof(Again), Again.Instance, doubt.Wait);
    }

    // Whatever is waited for, a sync that hangs or a journal that does not answer, is waited for no longer.
    private void OnDeadline()
    {
        _isDeadlineOver = true;
        if (_coordinator is not null)
            Context.Stop(_coordinator); // It reads the stream; when it has ended it has read it or not.
        else
            LoseJournal();
    }

    private void LoseJournal()
    {
        Timers.Cancel(nameof(Again));
        var doubt = _shell.InDoubt!;
        var reason = doubt.Obstacle ?? $"it did not answer within {(long)_shell.Options.RecoverDeadline.TotalMilliseconds} ms";
        _log.Error("The journal of the machine {0} is lost: {1}. Its guest runs on without checkpoints.", _name, reason);
        _shell.EndDoubt();
        _shell.Notices.Tell(new MachineNotice.StoreGivenUp(reason));
        _shell.Handle(new CoordinatorInput.RecoveryFailed(doubt.AppendId, reason), CarryOutFenced);
        foreach (var missed in _shell.Missed().ToList())
            _shell.Handle(missed, CarryOutFenced);
    }

    // A fenced coordinator stores nothing any more; its participants are told that the round is over.
    private void CarryOutFenced(CoordinatorEffect effect)
    {
        if (effect is CoordinatorEffect.ParticipantEffect message)
            _shell.Host.Tell(message);
    }

    private ActorDevice? DeviceOf(Participant participant) =>
        _shell.Attachment.Devices.OfType<ActorDevice>().FirstOrDefault(device => "device " + device.Name == participant.Name);

    private StoreException Unusable(Exception? reason) => reason as StoreException ?? new StoreException(
        StoreFailure.Unusable, $"machine '{_name}' cannot be recovered by the actor system: {reason?.Message ?? "its coordinator was stopped"}", reason);

    private sealed class Again
    {
        public static Again Instance { get; } = new();
    }

    private sealed class JournalPassed
    {
        public static JournalPassed Instance { get; } = new();
    }

    private abstract record Settlement(long AppendId);

    private sealed record Settled(long AppendId) : Settlement(AppendId);

    private sealed record NotSettled(long AppendId, string Reason) : Settlement(AppendId);

    private sealed record GiveUp(long AppendId) : Settlement(AppendId);
}
