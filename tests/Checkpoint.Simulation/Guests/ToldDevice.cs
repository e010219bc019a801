using Checkpoint.Actors;
using Checkpoint.Simulation.Kernel;

namespace Checkpoint.Simulation.Guests;

/// <summary>Counts what a device is told, whatever it makes of it.</summary>
internal sealed class ToldDevice(IDeviceParticipant device, MachineProbe probe) : IDeviceParticipant
{
    public string Name => device.Name;

    /// <summary>How often it was told to park.</summary>
    public int Parks { get; private set; }

    /// <summary>How often it was told to go on.</summary>
    public int Resumes { get; private set; }

    public void Park()
    {
        Parks++;
        device.Park();
    }

    public ReadOnlyMemory<byte> Capture() => device.Capture();

    public void Resume()
    {
        Resumes++;
        probe.World.OnDeviceResumed(probe.Vm, this);
        device.Resume();
    }
}
