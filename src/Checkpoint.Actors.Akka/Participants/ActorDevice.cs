using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>
/// A device that is an actor of the user's: it is told <see cref="ParkDevice"/>, <see cref="CaptureDevice"/> and
/// <see cref="ResumeDevice"/> and answers each with <see cref="DeviceParked"/>, <see cref="DeviceCaptured"/> and
/// <see cref="DeviceResumed"/>, or with <see cref="Status.Failure"/>, which aborts the round by the device's name.
/// </summary>
/// <param name="name">Its name, unique among the machine's devices.</param>
/// <param name="actor">The device.</param>
/// <param name="timeout">How long one answer may take.</param>
public sealed class ActorDevice(string name, IActorRef actor, TimeSpan timeout) : IDeviceParticipant
{
    /// <inheritdoc/>
    public string Name { get; } = name ?? throw new ArgumentNullException(nameof(name));

    /// <summary>The device.</summary>
    public IActorRef Actor { get; } = actor ?? throw new ArgumentNullException(nameof(actor));

    /// <inheritdoc/>
    public void Park() => Answer<DeviceParked>(new ParkDevice(Name));

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Capture() => Answer<DeviceCaptured>(new CaptureDevice(Name)).State;

    /// <inheritdoc/>
    public void Resume() => Answer<DeviceResumed>(new ResumeDevice(Name));

    // Called on the device's own thread, which has nothing else to do than to wait.
    private T Answer<T>(object message)
    {
        try
        {
            return Actor.Ask<T>(message, timeout).GetAwaiter().GetResult();
        }
        catch (AskTimeoutException)
        {
            throw new TimeoutException($"its actor did not answer {message.GetType().Name} within {(long)timeout.TotalMilliseconds} ms");
        }
    }
}
