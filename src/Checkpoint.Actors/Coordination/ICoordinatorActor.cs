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

    /// <summary>Where a round stands; null where the host cannot tell from outside.</summary>
    RoundPhase? Phase => null;

    /// <summary>How long a stop waits for the round under way, and then for the store; null: until they end.</summary>
    TimeSpan? StopDeadline => null;

    /// <summary>How long a stop waits for vCPUs and devices.</summary>
    TimeSpan StopPatience { get; }

    /// <summary>Whether a write may still land after a stop that did not wait for it: then the machine's lock is kept (<see cref="KeptLocks"/>).</summary>
    bool LeavesWriteBehind => false;

    /// <summary>Ends when nothing of the machine is being written or deleted any more; null where nobody can say when that is.</summary>
    Task? LastWrite => null;

    /// <summary>Begins to take messages; no participant has been started yet.</summary>
    /// <param name="attached">Whom to tell that a participant has ended.</param>
    void Start(AttachedMachine attached);

    /// <summary>Puts a request to the coordinator and waits for its answer.</summary>
    /// <param name="request">Makes the request from its number.</param>
    Task<CoordinatorReply> AskAsync(Func<long, CoordinatorInput.Request> request);
}
