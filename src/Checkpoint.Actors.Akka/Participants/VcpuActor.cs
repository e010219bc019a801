using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Akka.Participants;

/// <summary>
/// Owns one vCPU: its runner, on the runner's own thread, and with it the fd. Messages become requests of the runner; what the
/// runner reports goes to the coordinator by Tell, on the vCPU's thread.
/// </summary>
internal sealed class VcpuActor : ParticipantActor
{
    public VcpuActor(int index, Hosting.VcpuActor owned)
        : base(owned)
    {
        Receive<SuspendVcpu>(_ => owned.SuspendAsync().PipeTo(
            Sender,
            Self,
            wasRunning => new VcpuSuspended(index, wasRunning)));
        Receive<ResumeVcpu>(_ =>
        {
            owned.Run();
            Sender.Tell(new VcpuResumed(index));
        });
        Receive<StopVcpu>(_ =>
        {
            owned.Stop();
            owned.Ended.PipeTo(Sender, Self, () => new VcpuStopped(index));
        });
    }
}
