using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Restoring;

/// <summary>Looks up what a reference refers to, in what is stored now.</summary>
internal sealed class CheckpointFinder(CheckpointStore store)
{
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
