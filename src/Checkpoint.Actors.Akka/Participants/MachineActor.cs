using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>Stands for the VM itself: its clock, its interrupt chips, its memory, and the devices that have no threads.</summary>
internal sealed class MachineActor(IParticipantActor owned) : ParticipantActor(owned);
