using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Hosting;

/// <summary>Stands for one device with threads of its own.</summary>
internal sealed class DeviceActor(Participant participant, IDeviceParticipant device, IParticipantListener listener, IEngineThreads? threads = null)
    : ThreadedActor(participant, listener, threads)
{
    private ReadOnlyMemory<byte> _captured;

    /// <summary>What the last capture gave.</summary>
    public DeviceState State => new(device.Name, _captured);

    protected override void Park() => device.Park();

    protected override void Capture() => _captured = device.Capture();

    protected override void Resume() => device.Resume();
}
