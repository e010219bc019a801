using Akka.Actor;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>
/// Stands for a participant. What it owns, the runner with its fd or the device with its thread, was made before it and lasts
/// longer than one life of it: a restarted actor goes on with the same, and nothing of the guest notices.
/// </summary>
internal abstract class ParticipantActor : ReceiveActor
{
    private readonly IParticipantActor _owned;

    protected ParticipantActor(IParticipantActor owned)
    {
        _owned = owned;
        // A request of the runner or a message to the device's thread: neither makes this actor wait. The report comes by Tell.
        Receive<CoordinatorEffect.ParticipantEffect>(message =>
        {
            OnTold();
            _owned.Tell(message);
        });
    }

    /// <summary>A message is about to go to what it owns.</summary>
    protected virtual void OnTold()
    {
    }

    protected override void PreRestart(Exception reason, object message)
    {
        // Not PostStop: what it owns goes on.
    }

    protected override void PostRestart(Exception reason)
    {
    }

    // A runner that is asked to stop parks first, with no IO pending.
    protected override void PostStop() => _owned.Stop();
}
