using Checkpoint.Actors.Coordination;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Hosting;

/// <summary>Stands for the VM itself: its clock, its interrupt chips, its memory, and the devices that have no threads.</summary>
internal sealed class MachineActor : ThreadedActor
{
    private readonly Machine _machine;
    private readonly IReadOnlyList<IDeviceState> _devices;
    private readonly ReadOnlyMemory<byte>[] _captured;
    private readonly Lock _memoryGate = new();
    private volatile Preparation? _preparation;
    private volatile bool _isStopping;
    private bool _isBeingStored;
    private bool _hasEnded;

    public MachineActor(
        Participant participant,
        MachineAttachment attachment,
        IReadOnlyList<IDeviceState> devices,
        IParticipantListener listener,
        IEngineThreads? threads = null,
        TimeProvider? time = null)
        : base(participant, listener, threads)
    {
        _machine = attachment.Machine;
        _devices = devices;
        _captured = new ReadOnlyMemory<byte>[devices.Count];
        MayBeHelped = devices.All(device => device.CapturesAtOnce);
        Memory = new MemoryCapture(_machine, attachment.Buffer, attachment.NotesHostWrites ?? !_machine.Memory.IsAdopted, time);
    }

    /// <summary>The guest's memory as the last capture took it.</summary>
    public MemoryCapture Memory { get; }

    /// <summary>The guest clock at the last capture, in nanoseconds.</summary>
    public long? GuestClockNs => _machine.GuestClockNs;

    /// <summary>What the last capture gave of the devices without threads.</summary>
    public IEnumerable<DeviceState> Devices => _devices.Select((device, i) => new DeviceState(device.Name, _captured[i]));

    /// <summary>
    /// Completes the copies for whoever stores them. They stay until <see cref="EndStoring"/>, also where a stop did not wait for that and
    /// this has ended meanwhile: a checkpoint may still come of them.
    /// </summary>
    /// <exception cref="InvalidOperationException">This has ended, and what was captured is gone.</exception>
    public void BeginStoring()
    {
        lock (_memoryGate)
        {
            if (_hasEnded)
                throw new InvalidOperationException("the machine was stopped meanwhile");
            Memory.Complete();
            _isBeingStored = true;
        }
    }

    /// <summary>Nobody reads the copies any more.</summary>
    public void EndStoring()
    {
        lock (_memoryGate)
        {
            _isBeingStored = false;
            if (_hasEnded)
                Memory.Dispose();
        }
    }

    /// <inheritdoc/>
    public override void Tell(CoordinatorEffect.ParticipantEffect message)
    {
        if (message is CoordinatorEffect.PrepareParticipant)
        {
            var preparation = new Preparation(message.Round, new CancellationTokenSource());
            _preparation = preparation;
            if (_isStopping)
                preparation.End.Cancel();
        }
        // A preparation for a round that is over must not keep the next one waiting.
        else if (message is CoordinatorEffect.SettleParticipant && _preparation is { } over && over.Round == message.Round)
        {
            over.End.Cancel();
        }

        base.Tell(message);
    }

    /// <inheritdoc/>
    public override void Stop()
    {
        // Where the round under way was not waited for, or one that waited begins now.
        _isStopping = true;
        _preparation?.End.Cancel();
        base.Stop();
    }

    // From the kick until the vCPUs are out of the guest it is some 80 µs.
    protected override TimeSpan Lingering => _machine.Vcpus.Length < Environment.ProcessorCount ? TimeSpan.FromMicroseconds(300) : TimeSpan.Zero;

    // What the kernel answers and what lies in memory is there at once. An embedder's code that hangs must not keep a vCPU.
    protected override bool MayBeHelped { get; }

    protected override void Prepare(RoundId round, CheckpointMode mode, PauseLimit? limit)
    {
        if (_preparation is not { } preparation || preparation.Round != round)
            return;
        // What a restore has not brought in yet comes first: in the pause nothing is to be read from a disk.
        _machine.Memory.Filling?.FillRest(preparation.End.Token);
        // The copying leaves the guests their share of the processors; what follows is a matter of moments that everybody waits for.
        if (HasOwnThread)
            ThreadNiceness.TrySet(ThreadNiceness.OfProcess);
        Memory.Prepare(mode, limit, preparation.End.Token);
        if (HasOwnThread)
            ThreadNiceness.TryGoAhead(StoreThread.AheadOfGuests);
    }

    protected override void Settle(bool isCommitted) => Memory.Settle(isCommitted);

    protected override void OnEnded()
    {
        lock (_memoryGate)
        {
            _hasEnded = true;
            if (_isBeingStored)
                Memory.EndLog();
            else
                Memory.Dispose();
        }
    }

    // It does nothing by itself, so there is nothing to stop: the coordinator never parks it.
    protected override void Park()
    {
    }

    protected override void Capture()
    {
        _machine.CaptureVm();
        for (var i = 0; i < _devices.Count; i++)
            _captured[i] = _devices[i].Capture();
        Memory.Capture();
    }

    protected override void Resume()
    {
    }

    private sealed record Preparation(RoundId Round, CancellationTokenSource End);
}
