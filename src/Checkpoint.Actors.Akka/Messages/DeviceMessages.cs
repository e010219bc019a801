namespace Checkpoint.Actors.Akka.Messages;

/// <summary>
/// To a device that is an actor: stop touching guest memory and raising interrupts, then answer <see cref="DeviceParked"/>. All
/// vCPUs are parked.
/// </summary>
/// <param name="Device">The device's name.</param>
public sealed record ParkDevice(string Device);

/// <summary>The device touches no guest memory and raises no interrupt.</summary>
public sealed record DeviceParked
{
    /// <summary>The message.</summary>
    public static DeviceParked Instance { get; } = new();
}

/// <summary>To a device that is an actor: give the state. The guest waits for the answer.</summary>
/// <param name="Device">The device's name.</param>
public sealed record CaptureDevice(string Device);

/// <summary>The device's state.</summary>
/// <param name="State">It must stay as it is until the next capture.</param>
public sealed record DeviceCaptured(ReadOnlyMemory<byte> State);

/// <summary>To a device that is an actor: go on. Also told where the park was not answered. Answered by <see cref="DeviceResumed"/>.</summary>
/// <param name="Device">The device's name.</param>
public sealed record ResumeDevice(string Device);

/// <summary>The device goes on.</summary>
public sealed record DeviceResumed
{
    /// <summary>The message.</summary>
    public static DeviceResumed Instance { get; } = new();
}
