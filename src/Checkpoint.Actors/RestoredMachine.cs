using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors;

/// <summary>
/// A machine that holds exactly what a checkpoint says: registers set and read back, memory filled or coming in, nothing run yet. The
/// embedder restores its devices from <see cref="DeviceStateOf"/> and attaches or runs the machine.
/// </summary>
public sealed class RestoredMachine : IDisposable
{
    internal RestoredMachine(Machine machine, string vm, MachineEvent.CheckpointCommitted checkpoint, StateDocument document, string policy, IReadOnlyList<string> leniences, Guid generationId)
    {
        Machine = machine;
        Vm = vm;
        Checkpoint = checkpoint;
        Document = document;
        Policy = policy;
        Leniences = leniences;
        GenerationId = generationId;
    }

    /// <summary>The machine; disposing of this object disposes of it.</summary>
    public Machine Machine { get; }

    /// <summary>The name of the machine whose checkpoint it is.</summary>
    public string Vm { get; }

    /// <summary>The checkpoint.</summary>
    public MachineEvent.CheckpointCommitted Checkpoint { get; }

    /// <summary>The checkpoint's state.</summary>
    public StateDocument Document { get; }

    /// <summary>The name of the register policy that the restore went by.</summary>
    public string Policy { get; }

    /// <summary>The names of the registers that did differ and that the policy let differ.</summary>
    public IReadOnlyList<string> Leniences { get; }

    /// <summary>Whether memory was filled eagerly or comes in lazily.</summary>
    public MemoryFill Fill { get; internal init; } = MemoryFill.Eager;

    /// <summary>Why memory that was to come in lazily where that is possible was filled eagerly; null where nothing stood in the way.</summary>
    public string? FillObstacle { get; internal init; }

    /// <summary>
    /// The memory's coming in; null where it was filled eagerly. Where it fails, what is stored being damaged or not readable, the vCPUs end and
    /// <see cref="MemoryFilling.Failure"/> says why.
    /// </summary>
    public MemoryFilling? Filling => Machine.Memory.Filling;

    /// <summary>
    /// Drawn anew for each restore (VMGENID): two machines from one checkpoint that shared it would share their random numbers.
    /// </summary>
    public Guid GenerationId { get; }

    /// <summary>What a device had given at the checkpoint.</summary>
    /// <param name="name">The name under which it was registered.</param>
    /// <exception cref="KeyNotFoundException">The checkpoint has no such device.</exception>
    public ReadOnlyMemory<byte> DeviceStateOf(string name) =>
        Document.Devices.FirstOrDefault(device => device.Name == name)?.State
        ?? throw new KeyNotFoundException($"Checkpoint {Vm}@{Checkpoint.Number} has no state of a device '{name}'.");

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();

    internal MachineEvent.MachineRestored ToEvent(DateTimeOffset at, bool continues) =>
        new(Vm, Checkpoint.Number, Checkpoint.Id, Policy, [.. Leniences], GenerationId, continues) { At = at };
}
