using System.Collections.Immutable;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Messages;

/// <summary>What a machine's actor, <c>/user/checkpoint/NAME</c>, takes. Each is answered to its sender.</summary>
public abstract record MachineCommand
{
    private MachineCommand()
    {
    }

    /// <summary>Let the guest run for the first time. Answered by <see cref="MachineReply.Done"/>.</summary>
    public sealed record StartMachine : MachineCommand;

    /// <summary>Take a checkpoint now. Answered by a <see cref="CheckpointOutcome"/>: Committed means that it is durable.</summary>
    /// <param name="Label">The caller's own words, stored with it.</param>
    public sealed record TakeCheckpoint(string? Label = null) : MachineCommand;

    /// <summary>Take a checkpoint every so often, until the machine is stopped. Answered by <see cref="MachineReply.Done"/>.</summary>
    /// <param name="Interval">From the beginning of one to the beginning of the next, at least 1 ms.</param>
    public sealed record CheckpointEvery(TimeSpan Interval) : MachineCommand;

    /// <summary>Keep a checkpoint whatever retention says. Answered by Done or Refused.</summary>
    public sealed record PinCheckpoint(long Number) : MachineCommand;

    /// <summary>Let retention take it again. Answered by Done or Refused.</summary>
    public sealed record UnpinCheckpoint(long Number) : MachineCommand;

    /// <summary>Prune all but the newest so many, the pinned ones and what they build on. Answered by Done with their numbers, or Refused.</summary>
    public sealed record PruneCheckpoints(int Keep) : MachineCommand;

    /// <summary>
    /// Park all vCPUs, each with no IO pending, until <see cref="ResumeMachine"/>. Answered by Done when all are parked. Checkpoints may be
    /// taken meanwhile.
    /// </summary>
    public sealed record SuspendMachine : MachineCommand;

    /// <summary>Let all vCPUs run again. Answered by Done.</summary>
    public sealed record ResumeMachine : MachineCommand;

    /// <summary>
    /// End the schedule, let the round under way end, park and stop the vCPUs, give the machine's lock back. Answered by Done; the
    /// actor is gone then.
    /// </summary>
    public sealed record StopMachine : MachineCommand;

    /// <summary>What the machine is and does. Answered by <see cref="MachineStatus"/>.</summary>
    public sealed record GetMachine : MachineCommand;
}

/// <summary>The answer to a <see cref="MachineCommand"/>; where something was thrown it is a <see cref="global::Akka.Actor.Status.Failure"/>.</summary>
public abstract record MachineReply
{
    private MachineReply()
    {
    }

    /// <summary>It is done.</summary>
    /// <param name="Numbers">The checkpoints that were pruned, for a prune.</param>
    public sealed record Done(ImmutableArray<long> Numbers) : MachineReply;

    /// <summary>It was not begun.</summary>
    public sealed record Refused(Refusal Obstacle) : MachineReply;
}

/// <summary>What a machine is and does.</summary>
/// <param name="Vm">Its name.</param>
/// <param name="Phase">Where its coordinator stands.</param>
/// <param name="Participants">The names of its participants; actors below the machine's have them with a dash: <c>vcpu-0</c>.</param>
/// <param name="HighestNumber">The number of its last checkpoint; 0 before the first.</param>
/// <param name="Live">The checkpoints that exist.</param>
/// <param name="Pinned">Those that retention must keep.</param>
public sealed record MachineStatus(
    string Vm,
    RoundPhase Phase,
    ImmutableArray<string> Participants,
    long HighestNumber,
    ImmutableArray<long> Live,
    ImmutableArray<long> Pinned);

/// <summary>Published on the actor system's event stream when a round has ended, whoever asked for it.</summary>
/// <param name="Vm">The machine.</param>
/// <param name="Outcome">How it ended.</param>
public sealed record RoundEnded(string Vm, CheckpointOutcome Outcome);

/// <summary>
/// Published on the actor system's event stream when something happens to the machine's store that its operator may want to know
/// before the round's outcome tells it.
/// </summary>
/// <param name="Vm">The machine.</param>
/// <param name="Notice">What.</param>
public sealed record MachineNoticed(string Vm, MachineNotice Notice);

/// <summary>Published on the actor system's event stream when a vCPU, a device or the schedule has ended: no checkpoint is taken by itself any more.</summary>
/// <param name="Vm">The machine.</param>
/// <param name="Reason">Who and why, as one line.</param>
public sealed record MachineUnprotected(string Vm, string Reason);
