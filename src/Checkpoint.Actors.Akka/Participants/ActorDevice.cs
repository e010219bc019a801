using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>
/// A device that is an actor of the user's: it is told <see cref="ParkDevice"/>, <see cref="CaptureDevice"/> and
/// <see cref="ResumeDevice"/> and answers each with <see cref="DeviceParked"/>, <see cref="DeviceCaptured"/> and
/// <see cref="DeviceResumed"/>, or with <see cref="Status.Failure"/>, which aborts the round by the device's name.
/// </summary>
public sealed class ActorDevice : IDeviceParticipant
{
    private readonly TimeSpan _timeout;
    private readonly Lock _gate = new();
    private CancellationTokenSource? _waiting;
    private long _told;
    private long _asked;
    private bool _isOver;

    /// <summary>Stands for an actor.</summary>
    /// <param name="name">Its name, unique among the machine's devices.</param>
    /// <param name="actor">The device.</param>
    /// <param name="timeout">How long one answer may take where no deadline of the round is shorter.</param>
    public ActorDevice(string name, IActorRef actor, TimeSpan timeout)
    {
        Name = name ?? throw new ArgumentNullException(nameof(name));
        Actor = actor ?? throw new ArgumentNullException(nameof(actor));
        _timeout = OptionLimits.Deadline(timeout, nameof(timeout));
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The device.</summary>
    public IActorRef Actor { get; }

    /// <inheritdoc/>
    public void Park() => Answer<DeviceParked>(new ParkDevice(Name));

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Capture() => Answer<DeviceCaptured>(new CaptureDevice(Name))?.State ?? default;

    /// <inheritdoc/>
    public void Resume() => Answer<DeviceResumed>(new ResumeDevice(Name));

    /// <summary>
    /// The coordinator has something newer to say: it waits for no earlier answer any more, so nobody does. One answer that is lost
    /// costs one round.
    /// </summary>
    internal void Supersede()
    {
        lock (_gate)
        {
            _told++;
            _waiting?.Cancel();
        }
    }

    /// <summary>No answer will come, or nobody wants one.</summary>
    internal void EndWaiting()
    {
        lock (_gate)
        {
            _isOver = true;
            _waiting?.Cancel();
        }
    }

    // Called on the device's own thread, which has nothing else to do than to wait. Null where something newer was to be said
    // meanwhile: whatever the coordinator is told then, it does not hear it any more.
    private T? Answer<T>(object message)
        where T : class
    {
        using var waiting = new CancellationTokenSource();
        lock (_gate)
        {
            _waiting = waiting;
            if (++_asked < _told || _isOver)
                waiting.Cancel();
        }

        try
        {
            return Actor.Ask<T>(message, _timeout, waiting.Token).GetAwaiter().GetResult();
        }
        catch (AskTimeoutException)
        {
            throw new TimeoutException($"its actor did not answer {message.GetType().Name} within {(long)_timeout.TotalMilliseconds} ms");
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        finally
        {
            lock (_gate)
                _waiting = null;
        }
    }
}
