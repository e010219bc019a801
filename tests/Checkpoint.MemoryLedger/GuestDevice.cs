using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.MemoryLedger;

/// <summary>The guest's own device as part of the checkpoint.</summary>
internal sealed class GuestDevice(GuestMachine guest) : IDeviceState
{
    public string Name => GuestMachine.DeviceName;

    // What the exit handler has left in memory is copied, nothing more.
    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
}
