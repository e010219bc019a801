using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors;

/// <summary>What an embedder hands over for its machine to be checkpointed: the machine, the answer to its exits, its devices.</summary>
/// <param name="machine">The machine; it stays the embedder's, who disposes of it after the attachment has ended.</param>
/// <param name="exitHandler">Handles exits, on the vCPUs' threads.</param>
public sealed class MachineAttachment(Machine machine, IExitHandler exitHandler)
{
    private static readonly CoordinatorOptions s_defaults = new();

    /// <summary>The machine.</summary>
    public Machine Machine { get; } = machine ?? throw new ArgumentNullException(nameof(machine));

    /// <summary>Handles exits, on the vCPUs' threads.</summary>
    public IExitHandler ExitHandler { get; } = exitHandler ?? throw new ArgumentNullException(nameof(exitHandler));

    /// <summary>The devices whose states belong to the checkpoint, in the order in which they are stored; names are unique.</summary>
    public IReadOnlyList<IDeviceState> Devices { get; init => field = Named(value); } = [];

    /// <summary>Deadlines and retention; where none are given, those that the host has as its defaults.</summary>
    public CoordinatorOptions Options
    {
        get => GivenOptions ?? s_defaults;
        init => GivenOptions = value;
    }

    /// <summary>The options that the embedder gave; null where it gave none.</summary>
    internal CoordinatorOptions? GivenOptions { get; private init; }

    /// <summary>
    /// Whether every write of the host to guest memory goes through <see cref="Machine.Memory"/> or is noted there
    /// (<see cref="WrittenPages.Mark"/>): device models, exit handlers, whoever has the pages. Then most memory is copied while the guest runs, and
    /// checkpoints can hold what changed. Otherwise all of it is copied in the pause. Null: true unless the memory was adopted.
    /// </summary>
    public bool? NotesHostWrites { get; init; }

    /// <summary>Where copies of the guest's memory are made; by default one that all machines of the process share.</summary>
    public PagePool Buffer { get; init => field = value ?? throw new ArgumentNullException(nameof(Buffer)); } = PagePool.Shared;

    /// <summary>
    /// Whether the embedder's own threads drive the vCPUs, each by calling <see cref="AttachedMachine.DriveVcpu"/>, instead
    /// of threads of the engine's.
    /// </summary>
    public bool EmbedderDrivesVcpus { get; init; }

    /// <summary>Where the machine comes from; null for one that begins anew.</summary>
    public RestoredMachine? RestoredFrom { get; init; }

    private static IReadOnlyList<IDeviceState> Named(IReadOnlyList<IDeviceState> devices)
    {
        ArgumentNullException.ThrowIfNull(devices, nameof(devices));
        for (var i = 0; i < devices.Count; i++)
        {
            if (devices[i]?.Name is null)
                throw new ArgumentException($"Devices[{i}] is null or has no name: a restore finds a device's state by its name.", nameof(devices));
        }

        return devices;
    }
}
