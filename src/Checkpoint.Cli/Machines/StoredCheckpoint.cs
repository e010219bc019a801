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
    private const int MaxAttempts = 10;

    /// <summary>Its name for a person: <c>a@12</c>.</summary>
    public string Name => $"{Vm}@{Event.Number}";

    /// <summary>The seed of the simulated kernel that it was taken on; null for KVM.</summary>
    public ulong? SimulationSeed => SimulationMark.SeedOf(Document);

    /// <summary>Finds a checkpoint and reads its state.</summary>
    /// <exception cref="StoreException">There is none.</exception>
    /// <exception cref="IntegrityException">It is damaged.</exception>
    public static async Task<StoredCheckpoint> LoadAsync(CheckpointEngine engine, CheckpointReference reference, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var (vm, found) = await engine.FindAsync(reference, cancellationToken).ConfigureAwait(false);
            try
            {
                return new StoredCheckpoint(vm, found, await engine.Store.LoadAsync(vm, found, cancellationToken).ConfigureAwait(false));
            }
            catch (IntegrityException) when (attempt < MaxAttempts)
            {
                // It may be missing because the machine runs and prunes; the latest is another one then. What is still there is damaged.
                var history = await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
                if (history.Live.ContainsKey(found.Number))
                    throw;
            }
        }
    }
}
