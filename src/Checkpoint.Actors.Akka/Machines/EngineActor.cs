using System.Globalization;
using Akka.Actor;
using Checkpoint.Actors.Akka.Coordination;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Machines;

/// <summary>The engine's actor, <c>/user/checkpoint</c>: the parent of the machines' actors.</summary>
internal sealed class EngineActor : ReceiveActor
{
    private readonly Func<CheckpointEngine> _engine;
    private readonly TimeProvider _time;
    private readonly TaskCompletionSource _ended;
    private readonly Dictionary<IActorRef, CoordinatorShell> _machines = [];
    private readonly Dictionary<IActorRef, StreamAppend> _writers = [];
    private readonly Dictionary<IActorRef, Exception> _thrown = [];
    private readonly List<CoordinatorShell> _waiting = [];
    private long _lastWriter;

    public EngineActor(Func<CheckpointEngine> engine, TaskCompletionSource ended, TimeProvider time)
    {
        _ended = ended;
        _engine = engine;
        _time = time;
        Receive<EngineCommand.AttachMachine>(attach => AttachAsync(attach).PipeTo(Sender, Self));
        Receive<EngineCommand.RestoreMachine>(restore =>
            Task.Run(() => _engine().RestoreAsync(restore.Kvm, restore.Reference, restore.Clock)).PipeTo(Sender, Self));
        Receive<EngineCommand.ListMachines>(_ => Sender.Tell(new AttachedMachines(_machines.ToDictionary(each => each.Value.Held.Vm, each => each.Key))));
        Receive<CoordinatorShell>(Guard);
        Receive<StreamAppend>(Write);
        Receive<Terminated>(gone => OnEnded(gone.ActorRef));
    }

    // A machine's actor is not begun anew: its guest's threads and its lock belong to the attachment that made it.
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(failure =>
    {
        _thrown[Sender] = failure;
        return Directive.Stop;
    });

    protected override void PostStop() => _ended.TrySetResult();

    private async Task<MachineAttached> AttachAsync(EngineCommand.AttachMachine attach)
    {
        var attached = await Task.Run(() => _engine().AttachAsync(attach.Vm, attach.Attachment)).ConfigureAwait(false);
        return new MachineAttached(attach.Vm, ((CoordinatorShell)attached.Coordinator).Guardian, attached);
    }

    private void Guard(CoordinatorShell shell)
    {
        // The actor of an attachment that has just ended may still have the name.
        if (!Context.Child(shell.Held.Vm).IsNobody())
        {
            _waiting.Add(shell);
            return;
        }

        try
        {
            var guardian = Context.ActorOf(Props.Create(() => new MachineGuardian(shell, _time)).WithDispatcher(CheckpointSettings.Dispatcher), shell.Held.Vm);
            _machines[guardian] = shell;
            Context.Watch(guardian);
        }
        catch (Exception failure)
        {
            // A dispatcher that does not exist, for instance: whoever attaches it is told.
            End(shell, failure);
        }
    }

    private void Write(StreamAppend append)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"~write-{++_lastWriter}");
        try
        {
            var writer = Context.ActorOf(Props.Create(() => new StreamWriterActor(append)), name);
            _writers[writer] = append;
            Context.Watch(writer);
        }
        catch (Exception failure)
        {
            append.Ended.TrySetResult(new AppendOutcome.Refused(failure.GetBaseException().Message));
        }
    }

    private void OnEnded(IActorRef child)
    {
        _thrown.Remove(child, out var thrown);
        // An actor that could not be made, because its plugin does not exist for instance, has told nobody.
        if (_writers.Remove(child, out var append))
            append.Ended.TrySetResult(new AppendOutcome.Refused(thrown?.GetBaseException().Message ?? "its writer was stopped"));
        if (!_machines.Remove(child, out var ended))
            return;
        if (!ended.IsReady)
            End(ended, thrown);
        if (_waiting.Find(each => each.Held.Vm == ended.Held.Vm) is { } next)
        {
            _waiting.Remove(next);
            Guard(next);
        }
    }

    private static void End(CoordinatorShell shell, Exception? failure)
    {
        shell.FailToStart(new StoreException(
            StoreFailure.Unusable,
            $"machine '{shell.Held.Vm}' cannot be attached: {failure?.GetBaseException().Message ?? "its actor was stopped"}",
            failure));
        _ = shell.CloseAsync();
    }
}
