using Checkpoint.Actors.Coordination;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Hosting;

/// <summary>Who runs the coordinators and writes the streams: .NET's own channels and threads, or a user's actor system.</summary>
internal interface IEngineHost : IAsyncDisposable
{
    /// <summary>What everything beside the coordinators runs on.</summary>
    IEngineThreads Threads => EngineThreads.Own;

    /// <summary>The deadline of restores, and what machines go by that are attached without options of their own.</summary>
    CoordinatorOptions Defaults => s_defaults;

    private static readonly CoordinatorOptions s_defaults = new();

    /// <summary>Appends one event to a machine's stream before or without its coordinator.</summary>
    Task<AppendOutcome> AppendAsync(IMachineLock held, JournalHead expected, MachineEvent @event, CancellationToken cancellationToken);

    /// <summary>Makes the coordinator of a machine whose stream is registered; nothing runs yet.</summary>
    Task<ICoordinatorActor> CoordinateAsync(IMachineLock held, MachineHistory history, MachineAttachment attachment, CancellationToken cancellationToken);
}
