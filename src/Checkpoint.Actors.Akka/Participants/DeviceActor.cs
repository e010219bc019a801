using Akka.Actor;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>
/// Stands for one device with threads of its own, or for one that is an actor of the user's. Where that actor dies the device is
/// gone, and no checkpoint of the whole machine can be taken any more: the coordinator is told so by its name.
/// </summary>
internal sealed class DeviceActor : ParticipantActor
{
    private readonly ActorDevice? _device;

    public DeviceActor(Participant participant, IParticipantActor owned, ActorDevice? device, IParticipantListener listener)
        : base(owned)
    {
        _device = device;
        Receive<Terminated>(_ =>
        {
            listener.Hear(new CoordinatorInput.ParticipantGone(participant.Index, new ParticipantFailure("is gone: its actor has ended")));
            device?.EndWaiting();
        });
    }

    protected override void PreStart()
    {
        if (_device is not null)
            Context.Watch(_device.Actor);
    }

    protected override void OnTold() => _device?.Supersede();

    protected override void PostStop()
    {
        _device?.EndWaiting();
        base.PostStop();
    }

    protected override void PostRestart(Exception reason) => PreStart();
}
