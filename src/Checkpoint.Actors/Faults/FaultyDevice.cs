using Checkpoint.Protocol.Faults;

namespace Checkpoint.Actors.Faults;

/// <summary>An embedder's device that does not do what it is asked, or not in time.</summary>
public static class FaultyDevice
{
    /// <summary>Puts faults before a device.</summary>
    /// <param name="device">The device; one with threads of its own stays one.</param>
    /// <param name="faults">What is to go wrong.</param>
    /// <param name="machine">What rules call its machine (<see cref="FaultSite.Machine"/>).</param>
    public static IDeviceState Decorate(IDeviceState device, FaultPlan faults, string? machine = null)
    {
        var gate = new Gate(faults, "device " + device.Name, machine);
        return device is IDeviceParticipant participant ? new WithThreads(participant, gate) : new Passive(device, gate);
    }

    private static void Take(Gate gate, string call)
    {
        var (faults, participant, machine) = gate;
        if (faults.Next(new FaultSite(call, participant) { Machine = machine }) is not { } hit)
            return;
        faults.Wait(hit);
        if (hit.Action is FaultAction.Fail fail)
            throw new IOException($"{ErrorNumbers.NameOf(fail.Errno)}; injected");
    }

    private sealed record Gate(FaultPlan Faults, string Participant, string? Machine);

    // It does not say that it captures at once, whatever the device says: it may hang.
    private sealed class Passive(IDeviceState device, Gate gate) : IDeviceState
    {
        public string Name => device.Name;

        public ReadOnlyMemory<byte> Capture()
        {
            Take(gate, FaultCalls.DeviceCapture);
            return device.Capture();
        }
    }

    private sealed class WithThreads(IDeviceParticipant device, Gate gate) : IDeviceParticipant
    {
        public string Name => device.Name;

        public ReadOnlyMemory<byte> Capture()
        {
            Take(gate, FaultCalls.DeviceCapture);
            return device.Capture();
        }

        public void Park()
        {
            Take(gate, FaultCalls.DevicePark);
            device.Park();
        }

        public void Resume()
        {
            Take(gate, FaultCalls.DeviceResume);
            device.Resume();
        }
    }
}
