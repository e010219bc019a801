using Checkpoint.Actors;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Machines;

/// <summary>A checkpoint as it lies in the store, its memory not read yet.</summary>
/// <param name="Vm">The machine's name.</param>
/// <param name="Event">The event that committed it.</param>
/// <param name="Document">Its state.</param>
internal sealed record StoredCheckpoint(string Vm, MachineEvent.CheckpointCommitted Event, StateDocument Document)
{
    /// <summary>Its name for a person: <c>a@12</c>.</summary>
    public string Name => $"{Vm}@{Event.Number}";

    /// <summary>The seed of the simulated kernel that it was taken on; null for KVM.</summary>
    public ulong? SimulationSeed => SimulationMark.SeedOf(Document);

    /// <summary>Finds a checkpoint and reads its state.</summary>
    /// <exception cref="StoreException">There is none.</exception>
    /// <exception cref="IntegrityException">It is damaged.</exception>
    public static Task<StoredCheckpoint> LoadAsync(CheckpointEngine engine, CheckpointReference reference, CancellationToken cancellationToken) =>
        engine.ReadAsync(reference, (vm, found) => LoadAsync(engine, vm, found, cancellationToken), cancellationToken);

    /// <summary>Reads the state of a checkpoint that was found.</summary>
    /// <exception cref="IntegrityException">It is damaged, or was pruned meanwhile.</exception>
    public static async Task<StoredCheckpoint> LoadAsync(
        CheckpointEngine engine, string vm, MachineEvent.CheckpointCommitted found, CancellationToken cancellationToken) =>
        new(vm, found, await engine.Store.LoadAsync(vm, found, cancellationToken).ConfigureAwait(false));
}
