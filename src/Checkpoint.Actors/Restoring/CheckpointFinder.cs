using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Restoring;

/// <summary>What a reference refers to.</summary>
/// <param name="Vm">The machine.</param>
/// <param name="Checkpoint">The event that committed it.</param>
/// <param name="History">The machine's history as it was read for this: it has what the checkpoint builds on.</param>
internal sealed record FoundCheckpoint(string Vm, MachineEvent.CheckpointCommitted Checkpoint, MachineHistory History);

/// <summary>Looks up what a reference refers to, in what is stored now.</summary>
internal sealed class CheckpointFinder(CheckpointStore store)
{
    private const int MaxAttempts = 10;

    /// <summary>
    /// Finds a checkpoint and reads its parts. What is missing may be gone because the machine runs elsewhere and prunes: then
    /// the checkpoint is gone too, and the reference is looked up again. What is still there is damaged.
    /// </summary>
    /// <param name="reference">Which checkpoint.</param>
    /// <param name="read">Reads what is wanted of the checkpoint.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public async Task<T> ReadAsync<T>(CheckpointReference reference, Func<FoundCheckpoint, Task<T>> read, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var found = await FindAsync(reference, cancellationToken).ConfigureAwait(false);
            try
            {
                return await read(found).ConfigureAwait(false);
            }
            catch (IntegrityException) when (attempt < MaxAttempts)
            {
                var now = await EventStream.CatchUpAsync(store.Journal, found.Vm, found.History, cancellationToken).ConfigureAwait(false);
                if (now.Live.ContainsKey(found.Checkpoint.Number))
                    throw;
            }
        }
    }

    public async Task<FoundCheckpoint> FindAsync(CheckpointReference reference, CancellationToken cancellationToken)
    {
        switch (reference)
        {
            case CheckpointReference.OfMachine machine:
                var history = await KnownAsync(machine.Vm, cancellationToken).ConfigureAwait(false);
                return machine.FindIn(history) is { } found
                    ? new FoundCheckpoint(machine.Vm, found, history)
                    : throw new StoreException(StoreFailure.NotFound, $"there is no checkpoint {reference}; 'checkpoint list --vm {machine.Vm}' shows those that there are");
            case CheckpointReference.IdPrefix prefix:
                return await FindByIdAsync(prefix, cancellationToken).ConfigureAwait(false);
            default:
                throw new ArgumentException($"Unknown reference {reference}.", nameof(reference));
        }
    }

    private async Task<MachineHistory> KnownAsync(string vm, CancellationToken cancellationToken)
    {
        var history = await store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
        return history.Registration is null
            ? throw new StoreException(StoreFailure.NotFound, $"there is no machine '{vm}'; 'checkpoint list' shows those that there are")
            : history;
    }

    private async Task<FoundCheckpoint> FindByIdAsync(CheckpointReference.IdPrefix prefix, CancellationToken cancellationToken)
    {
        var found = new List<FoundCheckpoint>();
        foreach (var vm in await store.ListMachinesAsync(cancellationToken).ConfigureAwait(false))
        {
            var history = await store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
            found.AddRange(history.Live.Values
                .Where(prefix.Fits)
                .Select(live => new FoundCheckpoint(vm, live, history)));
        }

        return found.Count switch
        {
            1 => found[0],
            0 => throw new StoreException(StoreFailure.NotFound, $"there is no checkpoint whose id begins with {prefix}; 'checkpoint list' shows those that there are"),
            _ => throw new StoreException(StoreFailure.NotFound, $"{found.Count} checkpoints have an id that begins with {prefix}; write more digits"),
        };
    }
}
