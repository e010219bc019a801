using Akka.Actor;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.History;

namespace Checkpoint.Actors.Akka.Messages;

/// <summary>What the engine's actor, <c>/user/checkpoint</c>, takes. Each is answered to its sender; what fails is answered by <see cref="Status.Failure"/>.</summary>
public abstract record EngineCommand
{
    private EngineCommand()
    {
    }

    /// <summary>
    /// Take a machine under the engine's care. Answered by <see cref="MachineAttached"/>; the guest does not run before
    /// <see cref="MachineCommand.StartMachine"/>.
    /// </summary>
    /// <param name="Vm">The machine's name.</param>
    /// <param name="Attachment">The machine; it holds fds and memory, so the message stays in the process.</param>
    public sealed record AttachMachine(string Vm, MachineAttachment Attachment) : EngineCommand, INoSerializationVerificationNeeded;

    /// <summary>
    /// Build a fresh machine that holds exactly what a checkpoint says. Answered by <see cref="RestoredMachine"/>, which the asker
    /// attaches or disposes of.
    /// </summary>
    /// <param name="Kvm">Where to build it.</param>
    /// <param name="Reference">Which checkpoint.</param>
    /// <param name="Clock">What the guest's clock does with the time since the checkpoint.</param>
    public sealed record RestoreMachine(IKvm Kvm, CheckpointReference Reference, ClockPolicy Clock = ClockPolicy.Freeze) : EngineCommand, INoSerializationVerificationNeeded;

    /// <summary>The machines that are attached. Answered by <see cref="AttachedMachines"/>.</summary>
    public sealed record ListMachines : EngineCommand;
}

/// <summary>A machine is under the engine's care.</summary>
/// <param name="Vm">Its name.</param>
/// <param name="Machine">Takes <see cref="MachineCommand"/>.</param>
/// <param name="Attached">The same machine for code that is no actor.</param>
public sealed record MachineAttached(string Vm, IActorRef Machine, AttachedMachine Attached) : INoSerializationVerificationNeeded;

/// <summary>The machines that are attached, by name.</summary>
/// <param name="Machines">Each takes <see cref="MachineCommand"/>.</param>
public sealed record AttachedMachines(IReadOnlyDictionary<string, IActorRef> Machines);
