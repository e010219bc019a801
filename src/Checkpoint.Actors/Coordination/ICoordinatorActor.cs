using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Coordination;

/// <summary>What an <see cref="AttachedMachine"/> has of its coordinator, whichever host runs it.</summary>
internal interface ICoordinatorActor : IDisposable
{
    /// <summary>The machine's participants.</summary>
    MachineHost Host { get; }

    /// <summary>Ends when the actor has handled its last message.</summary>
    Task Completion { get; }

    /// <summary>How long a stop waits for vCPUs and devices.</summary>
    TimeSpan StopPatience { get; }

    /// <summary>Begins to take messages; no participant has been started yet.</summary>
    /// <param name="attached">Whom to tell that a participant has ended.</param>
    void Start(AttachedMachine attached);

    /// <summary>Puts a request to the coordinator and waits for its answer.</summary>
    /// <param name="request">Makes the request from its number.</param>
    Task<CoordinatorReply> AskAsync(Func<long, CoordinatorInput.Request> request);
}
