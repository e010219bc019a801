using System.Globalization;
using Akka.Actor;
using Checkpoint.Actors.Akka.Coordination;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Persistence;

namespace Checkpoint.Actors.Akka.Machines;

/// <summary>The engine's actor, <c>/user/checkpoint</c>: the parent of the machines' actors.</summary>
internal sealed class EngineActor : ReceiveActor
{
    private readonly Func<CheckpointEngine> _engine;
    private readonly TimeProvider _time;
    private readonly Dictionary<IActorRef, string> _machines = [];
    private long _lastWriter;

    public EngineActor(Func<CheckpointEngine> engine, TimeProvider time)
    {
        _engine = engine;
        _time = time;
        Receive<EngineCommand.AttachMachine>(attach => AttachAsync(attach, Context.Self).PipeTo(Sender, Self));
        Receive<EngineCommand.RestoreMachine>(restore =>
            Task.Run(() => _engine().RestoreAsync(restore.Kvm, restore.Reference, restore.Clock)).PipeTo(Sender, Self));
        Receive<EngineCommand.ListMachines>(_ => Sender.Tell(new AttachedMachines(_machines.ToDictionary(each => each.Value, each => each.Key))));
        Receive<CoordinatorShell>(Guard);
        Receive<StreamAppend>(Write);
        Receive<Terminated>(ended => _machines.Remove(ended.ActorRef));
    }

    // A machine's actor is not begun anew: its guest's threads and its lock belong to the attachment that made it.
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    private async Task<MachineAttached> AttachAsync(EngineCommand.AttachMachine attach, IActorRef self)
    {
        var attached = await Task.Run(() => _engine().AttachAsync(attach.Vm, attach.Attachment)).ConfigureAwait(false);
        var machines = await self.Ask<AttachedMachines>(new EngineCommand.ListMachines()).ConfigureAwait(false);
        return new MachineAttached(attach.Vm, machines.Machines[attach.Vm], attached);
    }

    private void Guard(CoordinatorShell shell)
    {
        var guardian = Context.ActorOf(Props.Create(() => new MachineGuardian(shell, _time)).WithDispatcher(CheckpointSettings.Dispatcher), shell.Held.Vm);
        _machines[guardian] = shell.Held.Vm;
        Context.Watch(guardian);
    }

    private void Write(StreamAppend append)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"~write-{++_lastWriter}");
        Context.ActorOf(Props.Create(() => new StreamWriterActor(append)), name);
    }
}
