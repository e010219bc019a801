using Akka.Actor;
using Checkpoint.Actors;
using Checkpoint.Actors.Akka;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;

namespace Checkpoint.Samples.Akka;

/// <summary>
/// A user's own actor that runs a machine: it speaks with the engine by messages alone. What it prints as committed is durable.
/// </summary>
internal sealed class Operator : ReceiveActor, IWithTimers
{
    private readonly IKvm _kvm;
    private readonly Arguments _arguments;
    private readonly IActorRef _engine;
    private readonly List<long> _pausesUs = [];
    private GuestMachine? _guest;
    private GuestVerdict? _atCheckpoint;
    private RestoredMachine? _restored;
    private IActorRef? _machine;
    private IActorRef? _asker;
    private Finished? _finished;
    private long _begun;
    private bool _isStopping;

    public Operator(IKvm kvm, Arguments arguments, IActorRef engine)
    {
        _kvm = kvm;
        _arguments = arguments;
        _engine = engine;
        Receive<RestoredMachine>(OnRestored);
        Receive<MachineAttached>(OnAttached);
        Receive<RoundEnded>(OnRound);
        Receive<MachineNoticed>(Lines.Noticed);
        Receive<MachineUnprotected>(lost => Finish(lost.Reason));
        Receive<Status.Failure>(failure => Finish(failure.Cause.Message));
        Receive<MachineReply.Done>(_ => { });
        Receive<Stop>(_ => StopOnce());
        Receive<Terminated>(_ => OnStopped());
        Receive<UntilFinished>(_ =>
        {
            _asker = Sender;
            if (_finished is not null)
                _asker.Tell(_finished);
        });
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        Context.System.EventStream.Subscribe(Self, typeof(RoundEnded));
        Context.System.EventStream.Subscribe(Self, typeof(MachineNoticed));
        Context.System.EventStream.Subscribe(Self, typeof(MachineUnprotected));
        if (_arguments.From is null)
        {
            Attach(GuestMachine.Create(_kvm, _arguments.Guest, new GuestOptions { Vcpus = _arguments.Vcpus, Seed = 42 }, InterruptChip.Full));
        }
        else if (CheckpointReference.TryParse($"{_arguments.Vm}@{_arguments.From}", out var reference, out var wrong))
        {
            _engine.Tell(new EngineCommand.RestoreMachine(_kvm, reference));
        }
        else
        {
            Finish(wrong);
        }
    }

    protected override void PostStop() => _guest?.Dispose();

    private void OnRestored(RestoredMachine restored)
    {
        _restored = restored;
        var guest = GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
        _atCheckpoint = guest.Verify(restored.Document.Vcpus);
        Lines.Restored(restored, _atCheckpoint);
        Attach(guest);
    }

    private void Attach(GuestMachine guest)
    {
        _guest = guest;
        _engine.Tell(new EngineCommand.AttachMachine(_arguments.Vm, new MachineAttachment(guest.Machine, guest)
        {
            Devices = [new GuestDevice(guest)],
            Options = CheckpointExtension.Get(Context.System).CoordinatorOptions with { Keep = _arguments.Keep },
            RestoredFrom = _restored,
        }));
    }

    private void OnAttached(MachineAttached attached)
    {
        _machine = Context.Watch(attached.Machine);
        _machine.Tell(new MachineCommand.StartMachine());
        _machine.Tell(new MachineCommand.CheckpointEvery(_arguments.Every));
        _begun = TimeProvider.System.GetTimestamp();
        Timers.StartSingleTimer(nameof(Stop), Stop.Instance, _arguments.For);
        Lines.Started(attached.Vm);
    }

    private void OnRound(RoundEnded round)
    {
        Lines.Round(round);
        if (round.Outcome is not CheckpointOutcome.Committed committed)
            return;
        _pausesUs.Add(committed.Checkpoint.Timings.PauseUs);
        if (_pausesUs.Count == _arguments.Checkpoints)
            Self.Tell(Stop.Instance);
    }

    private void StopOnce()
    {
        if (!_isStopping)
            _machine!.Tell(new MachineCommand.StopMachine());
        _isStopping = true;
    }

    private void OnStopped()
    {
        var now = _guest!.Verify();
        var failures = _atCheckpoint is null ? now.Failures : now.FailuresSince(_atCheckpoint);
        Lines.Stopped(_pausesUs, TimeProvider.System.GetElapsedTime(_begun), now, failures);
        Finish(failures.Count == 0 ? null : failures[0]);
    }

    private void Finish(string? problem)
    {
        _finished ??= new Finished(problem);
        _asker?.Tell(_finished);
    }

    /// <summary>Answered by <see cref="Finished"/> when the run is over.</summary>
    internal sealed class UntilFinished
    {
        public static UntilFinished Instance { get; } = new();
    }

    /// <summary>The run is over.</summary>
    /// <param name="Problem">What went wrong; null where all was well.</param>
    internal sealed record Finished(string? Problem);

    private sealed class Stop
    {
        public static Stop Instance { get; } = new();
    }
}

/// <summary>The guest's own device: touched by the exit handler only.</summary>
internal sealed class GuestDevice(GuestMachine guest) : IDeviceState
{
    public string Name => GuestMachine.DeviceName;

    // What the exit handler has left in memory is copied, nothing more.
    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
}
