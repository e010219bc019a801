using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Cli.Machines;

/// <summary>The guest's own device as part of the checkpoint. Only exits touch it, so it stands still while all vCPUs are parked.</summary>
internal sealed class GuestDevice(GuestMachine guest) : IDeviceState
{
    public string Name => GuestMachine.DeviceName;

    public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
}
