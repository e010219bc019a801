using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>The store's own journal with faults to order: below the actor system's, which has faults of its own (<see cref="FaultyJournal"/>).</summary>
internal sealed class FaultyStore(IJournal journal) : IJournal
{
    private int _proofs;

    /// <summary>What is said instead of writing; null to write.</summary>
    public Func<JournalAppend, AppendOutcome?> OnAppend { get; set; } = _ => null;

    /// <summary>What is said after writing; null for what it came to.</summary>
    public Func<JournalAppend, AppendOutcome?> AfterAppend { get; set; } = _ => null;

    /// <summary>Waited for before the disk is proven; it may throw.</summary>
    public Func<Task> OnProof { get; set; } = () => Task.CompletedTask;

    /// <summary>Waited for before the journal is closed.</summary>
    public Task OnDispose { get; set; } = Task.CompletedTask;

    /// <summary>How often the disk was to be proven.</summary>
    public int Proofs => Volatile.Read(ref _proofs);

    public async Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default)
    {
        if (OnAppend(append) is { } instead)
            return instead;
        var outcome = await journal.AppendAsync(append, cancellationToken);
        return AfterAppend(append) ?? outcome;
    }

    public async Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _proofs);
        await OnProof();
        await journal.ProveDurableAsync(vm, cancellationToken);
    }

    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default) => journal.ListMachinesAsync(cancellationToken);

    public Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default) =>
        journal.ReadAsync(vm, after, limit, cancellationToken);

    public Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default) =>
        journal.ReadStateDocumentAsync(vm, number, cancellationToken);

    public Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default) =>
        journal.ListStateDocumentsAsync(vm, cancellationToken);

    public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default) =>
        journal.SaveSnapshotAsync(vm, snapshot, cancellationToken);

    public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default) => journal.LoadSnapshotAsync(vm, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await OnDispose;
        await journal.DisposeAsync();
    }
}

/// <summary>An actor system whose engine has a store with faults to order.</summary>
public abstract class FaultyStoreTests : ActorSystemTests
{
    private readonly Lazy<CheckpointExtension> _extension;

    protected FaultyStoreTests(string more = "", TimeProvider? time = null)
        : base(more)
    {
        var clock = time ?? TimeProvider.System;
        _extension = new Lazy<CheckpointExtension>(() => CheckpointExtension.Open(
            Sys, clock, CheckpointStore.Open(Options with { Faults = Faults }, clock).Around(journal => Store = new FaultyStore(journal))));
    }

    /// <summary>Faults of the files, and of the journal below <see cref="Store"/>.</summary>
    private protected FaultPlan Faults { get; } = new(seed: 1);

    private protected FaultyStore Store { get; private set; } = null!;

    protected override CheckpointExtension Extension => _extension.Value;
}
