using Checkpoint.Kvm.Guests;

namespace Checkpoint.Actors.Tests;

/// <summary>The guest's own device: touched by the exit handler only.</summary>
internal sealed class GuestDevice(GuestMachine guest) : IDeviceState
{
    public string Name => GuestMachine.DeviceName;

    // What the exit handler has left in memory is copied, nothing more.
    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
}
