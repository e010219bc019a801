using Checkpoint.Simulation.Guests;

namespace Checkpoint.Simulation.Invariants;

/// <summary>Parks and resumes.</summary>
internal sealed class EachIsResumedOnce(World world) : Invariant(world)
{
    public override string Law => "a device is told to go on once for each time that it was told to park";

    public override void OnDeviceResumed(string vm, ToldDevice device)
    {
        if (device.Resumes > device.Parks)
            Break($"a device of {vm} was told to park {device.Parks} times, and to go on {device.Resumes} times");
    }
}
