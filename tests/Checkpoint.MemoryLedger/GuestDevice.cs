using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.MemoryLedger;

/// <summary>The guest's own device as part of the checkpoint.</summary>
internal sealed class GuestDevice(GuestMachine guest) : IDeviceState
{
    public string Name => GuestMachine.DeviceName;

    public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
}
