using System.Diagnostics;
using Akka.Actor;
using Akka.Event;
using Checkpoint.Actors.Akka.Coordination;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Machines;

/// <summary>Answers what the user's own actors ask of a machine.</summary>
internal static class MachineDoor
{
    private static readonly MachineReply.Done s_done = new([]);

    /// <summary>Puts the ends of rounds and of participants, and what happens to the store, on the event stream.</summary>
    public static void Announce(AttachedMachine attached, EventStream stream)
    {
        attached.RoundEnded += (_, outcome) => stream.Publish(new RoundEnded(attached.Vm, outcome));
        attached.Noticed += (_, notice) => stream.Publish(new MachineNoticed(attached.Vm, notice));
        _ = AnnounceEndAsync(attached, stream);
    }

    public static void Handle(MachineCommand command, AttachedMachine attached, CoordinatorShell shell, IActorRef asker, IActorRef self)
    {
        try
        {
            Answer(command, attached, shell, asker, self);
        }
        catch (Exception failure) when (failure is ArgumentException or InvalidOperationException)
        {
            asker.Tell(new Status.Failure(failure), self);
        }
    }

    private static void Answer(MachineCommand command, AttachedMachine attached, CoordinatorShell shell, IActorRef asker, IActorRef self)
    {
        switch (command)
        {
            case MachineCommand.StartMachine:
                attached.Start();
                asker.Tell(s_done, self);
                break;
            case MachineCommand.TakeCheckpoint take:
                attached.CheckpointAsync(take.Label).PipeTo(asker, self);
                break;
            case MachineCommand.CheckpointEvery schedule:
                attached.CheckpointEvery(schedule.Interval);
                asker.Tell(s_done, self);
                break;
            case MachineCommand.PinCheckpoint pin:
                shell.AskAsync(id => new CoordinatorInput.Pin(id, pin.Number)).PipeTo(asker, self, ToReply);
                break;
            case MachineCommand.UnpinCheckpoint unpin:
                shell.AskAsync(id => new CoordinatorInput.Unpin(id, unpin.Number)).PipeTo(asker, self, ToReply);
                break;
            case MachineCommand.PruneCheckpoints prune:
                shell.AskAsync(id => new CoordinatorInput.Prune(id, prune.Keep)).PipeTo(asker, self, ToReply);
                break;
            case MachineCommand.SuspendMachine:
                Task.WhenAll(Vcpus(shell).Select(vcpu => vcpu.SuspendAsync())).PipeTo(asker, self, _ => s_done);
                break;
            case MachineCommand.ResumeMachine:
                shell.Host.RunGuest();
                asker.Tell(s_done, self);
                break;
            case MachineCommand.StopMachine:
                StopAsync(attached).PipeTo(asker, self, done => done);
                break;
            case MachineCommand.GetMachine:
                asker.Tell(StatusOf(shell), self);
                break;
            default:
                throw new UnreachableException($"Unknown command {command.GetType().Name}.");
        }
    }

    private static async Task AnnounceEndAsync(AttachedMachine attached, EventStream stream)
    {
        if (await attached.ParticipantEnded.ConfigureAwait(false) is { } reason && !attached.IsStopRequested)
            stream.Publish(new MachineUnprotected(attached.Vm, reason));
    }

    private static IEnumerable<Hosting.VcpuActor> Vcpus(CoordinatorShell shell) => shell.Host.Actors.OfType<Hosting.VcpuActor>();

    private static async Task<MachineReply.Done> StopAsync(AttachedMachine attached)
    {
        await attached.DisposeAsync().ConfigureAwait(false);
        return s_done;
    }

    private static MachineReply ToReply(CoordinatorReply reply) => reply switch
    {
        CoordinatorReply.Done done => new MachineReply.Done(done.Numbers),
        CoordinatorReply.Refused refused => new MachineReply.Refused(refused.Obstacle),
        _ => throw new UnreachableException($"A request was answered by {reply.GetType().Name}."),
    };

    private static MachineStatus StatusOf(CoordinatorShell shell)
    {
        var history = shell.Coordinator.History;
        return new MachineStatus(
            shell.Held.Vm,
            shell.Coordinator.Phase,
            [.. shell.Host.Participants.Select(each => each.Name)],
            history.HighestNumber,
            [.. history.Live.Keys],
            [.. history.Pinned]);
    }
}
