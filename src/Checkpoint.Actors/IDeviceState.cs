namespace Checkpoint.Actors;

/// <summary>
/// A device whose state belongs to the machine's. One that is touched by the exit handler only, on vCPU threads, needs
/// nothing more: with all vCPUs parked it stands still.
/// </summary>
public interface IDeviceState
{
    /// <summary>Its name, unique among the machine's devices; a restore finds the state by it.</summary>
    string Name { get; }

    /// <summary>
    /// Gives the state while the guest is paused. It must not wait for anything; the bytes must stay as they are until the
    /// next call.
    /// </summary>
    ReadOnlyMemory<byte> Capture();

    /// <summary>
    /// Whether <see cref="Capture"/> only copies what lies in memory. Then it is called on the thread of the vCPU that parked last, which spares the guest the
    /// time in which another thread wakes; and that vCPU stays parked for as long as the call takes, past every deadline. Leave it false where a capture may
    /// have to wait for anybody: it is called on the machine's own thread then. Asked for once, when the machine is attached.
    /// </summary>
    bool CapturesAtOnce => false;
}

/// <summary>
/// A device with threads of its own, which may write guest memory and interrupt vCPUs: it is parked after the vCPUs and
/// resumed before them. All calls come from one thread of the engine's, which waits for nobody else.
/// </summary>
public interface IDeviceParticipant : IDeviceState
{
    /// <summary>Stops the device's threads; returns when none of them touches guest memory or raises interrupts.</summary>
    void Park();

    /// <summary>Lets the device's threads go on. Also called where <see cref="Park"/> was not finished.</summary>
    void Resume();
}
