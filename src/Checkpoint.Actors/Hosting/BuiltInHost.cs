using Checkpoint.Actors.Coordination;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Hosting;

/// <summary>The engine on channels and threads of its own; the store's journal is written directly.</summary>
internal sealed class BuiltInHost(CheckpointStore store, TimeProvider time, IEngineThreads? threads = null, CoordinatorOptions? defaults = null) : IEngineHost
{
    private readonly CoordinatorOptions _defaults = defaults ?? new CoordinatorOptions();

    public CoordinatorOptions Defaults => _defaults;

    public IEngineThreads Threads { get; } = threads ?? EngineThreads.Own;

    public Task<AppendOutcome> AppendAsync(IMachineLock held, JournalHead expected, MachineEvent @event, CancellationToken cancellationToken) =>
        store.Journal.AppendAsync(new JournalAppend(held.Vm, expected, @event), cancellationToken);

    public Task<ICoordinatorActor> CoordinateAsync(IMachineLock held, MachineHistory history, MachineAttachment attachment, CancellationToken cancellationToken) =>
        Task.FromResult<ICoordinatorActor>(new CoordinatorActor(held, store, history, attachment, time, Threads, attachment.GivenOptions ?? _defaults));

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
