using Checkpoint.Protocol.Faults;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Storage.Faults;

/// <summary>A journal some of whose calls go wrong: refused, slow, gone before or after the commit, unreadable for a while.</summary>
/// <param name="inner">The journal; disposing of this one disposes of it.</param>
/// <param name="faults">What is to go wrong.</param>
public sealed class FaultyJournal(IJournal inner, FaultPlan faults) : IJournal
{
    private const string Participant = "journal";

    /// <inheritdoc/>
    public async Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default)
    {
        if (faults.Next(new FaultSite(FaultCalls.JournalAppend, Participant) { Machine = append.Vm }) is not { } hit)
            return await inner.AppendAsync(append, cancellationToken).ConfigureAwait(false);
        faults.Wait(hit, cancellationToken);
        switch (hit.Action)
        {
            case FaultAction.Fail fail:
                return new AppendOutcome.Refused(StoreFault.Describe(fail.Errno), SystemMessages.IsFull(fail.Errno));
            case FaultAction.Refuse refuse:
                return new AppendOutcome.Refused($"{refuse.Reason} (injected)");
            case FaultAction.Unknown unknown:
                // What the journal itself finds is more than what was injected: a conflict stays one.
                if ((unknown.Written ?? (hit.Draw & 1) != 0)
                    && await inner.AppendAsync(append, cancellationToken).ConfigureAwait(false) is not AppendOutcome.Committed and var other)
                    return other;
                return new AppendOutcome.Unknown($"{unknown.Reason} (injected)");
            default:
                return await inner.AppendAsync(append, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default) =>
        Take(FaultCalls.JournalProve, vm, cancellationToken) is { } refused ? Task.FromException(refused) : inner.ProveDurableAsync(vm, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalList, null, inner.ListMachinesAsync, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalRead, vm, token => inner.ReadAsync(vm, after, limit, token), cancellationToken);

    /// <inheritdoc/>
    public Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalReadDocument, vm, token => inner.ReadStateDocumentAsync(vm, number, token), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalList, vm, token => inner.ListStateDocumentsAsync(vm, token), cancellationToken);

    /// <inheritdoc/>
    public Task<DocumentAhead?> LoadDocumentAheadAsync(string vm, CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalList, vm, token => inner.LoadDocumentAheadAsync(vm, token), cancellationToken);

    /// <inheritdoc/>
    public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default) =>
        Take(FaultCalls.JournalSaveSnapshot, vm, cancellationToken) is { } refused ? Task.FromException(refused) : inner.SaveSnapshotAsync(vm, snapshot, cancellationToken);

    /// <inheritdoc/>
    public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default) =>
        Read(FaultCalls.JournalLoadSnapshot, vm, token => inner.LoadSnapshotAsync(vm, token), cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private Task<T> Read<T>(string call, string? vm, Func<CancellationToken, Task<T>> read, CancellationToken cancellationToken) =>
        Take(call, vm, cancellationToken) is { } refused ? Task.FromException<T>(refused) : read(cancellationToken);

    private StoreException? Take(string call, string? vm, CancellationToken cancellationToken) =>
        StoreFault.Take(faults, new FaultSite(call, Participant) { Machine = vm }, cancellationToken) is { } errno
            ? new StoreException(StoreFailure.Unusable, $"{call} failed: {StoreFault.Describe(errno)}; check the store")
            : null;
}
