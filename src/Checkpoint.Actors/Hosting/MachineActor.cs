using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Hosting;

/// <summary>Stands for the VM itself: its clock, its interrupt chips, its memory, and the devices that have no threads.</summary>
internal sealed class MachineActor : ThreadedActor
{
    private readonly Machine _machine;
    private readonly IReadOnlyList<IDeviceState> _devices;
    private readonly ReadOnlyMemory<byte>[] _captured;

    public MachineActor(Participant participant, Machine machine, IReadOnlyList<IDeviceState> devices, IParticipantListener listener)
        : base(participant, listener)
    {
        _machine = machine;
        _devices = devices;
        _captured = new ReadOnlyMemory<byte>[devices.Count];
        Memory = new MemoryCopy(machine.Memory);
    }

    /// <summary>The copy of the guest's memory that the last capture made.</summary>
    public MemoryCopy Memory { get; }

    /// <summary>The guest clock at the last capture, in nanoseconds.</summary>
    public long? GuestClockNs => _machine.GuestClockNs;

    /// <summary>What the last capture gave of the devices without threads.</summary>
    public IEnumerable<DeviceState> Devices => _devices.Select((device, i) => new DeviceState(device.Name, _captured[i]));

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
}
