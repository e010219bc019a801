using Checkpoint.Protocol.Faults;

namespace Checkpoint.Actors.Faults;

/// <summary>An embedder's device that does not do what it is asked, or not in time.</summary>
public static class FaultyDevice
{
    /// <summary>Puts faults before a device.</summary>
    /// <param name="device">The device; one with threads of its own stays one.</param>
    /// <param name="faults">What is to go wrong.</param>
    public static IDeviceState Decorate(IDeviceState device, FaultPlan faults) =>
        device is IDeviceParticipant participant ? new WithThreads(participant, faults) : new Passive(device, faults);

    private static void Take(FaultPlan faults, string call, string name)
    {
        if (faults.Next(new FaultSite(call, "device " + name)) is not { } hit)
            return;
        faults.Wait(hit);
        if (hit.Action is FaultAction.Fail fail)
            throw new IOException($"{ErrorNumbers.NameOf(fail.Errno)}; injected");
    }

    // It does not say that it captures at once, whatever the device says: it may hang.
    private sealed class Passive(IDeviceState device, FaultPlan faults) : IDeviceState
    {
        public string Name => device.Name;

        public ReadOnlyMemory<byte> Capture()
        {
            Take(faults, FaultCalls.DeviceCapture, Name);
            return device.Capture();
        }
    }

    private sealed class WithThreads(IDeviceParticipant device, FaultPlan faults) : IDeviceParticipant
    {
        public string Name => device.Name;

        public ReadOnlyMemory<byte> Capture()
        {
            Take(faults, FaultCalls.DeviceCapture, Name);
            return device.Capture();
        }

        public void Park()
        {
            Take(faults, FaultCalls.DevicePark, Name);
            device.Park();
        }

        public void Resume()
        {
            Take(faults, FaultCalls.DeviceResume, Name);
            device.Resume();
        }
    }
}
