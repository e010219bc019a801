using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Restoring;

/// <summary>Looks up what a reference refers to, in what is stored now.</summary>
internal sealed class CheckpointFinder(CheckpointStore store)
{
    private const int MaxAttempts = 10;

    /// <summary>
    /// Finds a checkpoint and reads its parts. What is missing may be gone because the machine runs elsewhere and prunes: then
    /// the checkpoint is gone too, and the reference is looked up again. What is still there is damaged.
    /// </summary>
    /// <param name="reference">Which checkpoint.</param>
    /// <param name="read">Reads what is wanted of the checkpoint of a machine.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public async Task<T> ReadAsync<T>(
        CheckpointReference reference,
        Func<string, MachineEvent.CheckpointCommitted, Task<T>> read,
        CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var (vm, checkpoint) = await FindAsync(reference, cancellationToken).ConfigureAwait(false);
            try
            {
                return await read(vm, checkpoint).ConfigureAwait(false);
            }
            catch (IntegrityException) when (attempt < MaxAttempts)
            {
                var history = await store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
                if (history.Live.ContainsKey(checkpoint.Number))
                    throw;
            }
        }
    }

    public async Task<(string Vm, MachineEvent.CheckpointCommitted Checkpoint)> FindAsync(CheckpointReference reference, CancellationToken cancellationToken)
    {
        switch (reference)
        {
            case CheckpointReference.OfMachine machine:
                var history = await KnownAsync(machine.Vm, cancellationToken).ConfigureAwait(false);
                return machine.FindIn(history) is { } found
                    ? (machine.Vm, found)
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

    private async Task<(string Vm, MachineEvent.CheckpointCommitted Checkpoint)> FindByIdAsync(CheckpointReference.IdPrefix prefix, CancellationToken cancellationToken)
    {
        var found = new List<(string Vm, MachineEvent.CheckpointCommitted Checkpoint)>();
        foreach (var vm in await store.ListMachinesAsync(cancellationToken).ConfigureAwait(false))
        {
            var history = await store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
            found.AddRange(history.Live.Values
                .Where(prefix.Fits)
                .Select(live => (vm, live)));
        }

        return found.Count switch
        {
            1 => found[0],
            0 => throw new StoreException(StoreFailure.NotFound, $"there is no checkpoint whose id begins with {prefix}; 'checkpoint list' shows those that there are"),
            _ => throw new StoreException(StoreFailure.NotFound, $"{found.Count} checkpoints have an id that begins with {prefix}; write more digits"),
        };
    }
}
