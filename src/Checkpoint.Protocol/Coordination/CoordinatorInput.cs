using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <summary>What a coordinator is told: requests of callers, reports of participants, ends of effects.</summary>
public abstract record CoordinatorInput
{
    private CoordinatorInput()
    {
    }

    /// <summary>Something a caller wants; it is answered by exactly one <see cref="CoordinatorEffect.Reply"/>.</summary>
    /// <param name="RequestId">The caller's number for it.</param>
    public abstract record Request(long RequestId) : CoordinatorInput;

    /// <summary>Take a checkpoint.</summary>
    /// <param name="RequestId">The caller's number for it.</param>
    /// <param name="Id">The identity that the checkpoint will have: the core draws no random numbers.</param>
    /// <param name="Trigger">Who asks.</param>
    /// <param name="Label">The caller's own words.</param>
    public sealed record BeginCheckpoint(long RequestId, CheckpointId Id, CheckpointTrigger Trigger, string? Label) : Request(RequestId);

    /// <summary>Keep this checkpoint whatever retention says.</summary>
    public sealed record Pin(long RequestId, long Number) : Request(RequestId);

    /// <summary>Let retention take it again.</summary>
    public sealed record Unpin(long RequestId, long Number) : Request(RequestId);

    /// <summary>Keep the newest so many, the pinned ones and what they build on; prune the rest.</summary>
    public sealed record Prune(long RequestId, int Keep) : Request(RequestId);

    /// <summary>Put on record that a copy was brought back from one of this machine's checkpoints; the machine itself runs on.</summary>
    public sealed record RecordRestore(long RequestId, MachineEvent.MachineRestored Restored) : Request(RequestId);

    /// <summary>Take no more requests; answered when the round in flight has ended.</summary>
    public sealed record Stop(long RequestId) : Request(RequestId);

    /// <summary>A participant has taken what can be taken while the guest runs.</summary>
    public sealed record ParticipantPrepared(RoundId Round, int Participant) : CoordinatorInput;

    /// <summary>A vCPU or device has stopped.</summary>
    public sealed record ParticipantParked(RoundId Round, int Participant) : CoordinatorInput;

    /// <summary>A participant's state has been read.</summary>
    public sealed record ParticipantCaptured(RoundId Round, int Participant) : CoordinatorInput;

    /// <summary>A participant is running again.</summary>
    public sealed record ParticipantResumed(RoundId Round, int Participant) : CoordinatorInput;

    /// <summary>A participant could not do what this round asked.</summary>
    public sealed record ParticipantFailed(RoundId Round, int Participant, ParticipantFailure Failure) : CoordinatorInput;

    /// <summary>A participant has ended for good: its thread died, its guest shut down.</summary>
    /// <param name="Participant">Which.</param>
    /// <param name="Failure">Why.</param>
    /// <param name="WasAskedTo">Whether it was stopped, and has stopped as it should.</param>
    public sealed record ParticipantGone(int Participant, ParticipantFailure Failure, bool WasAskedTo = false) : CoordinatorInput;

    /// <summary>The time that a phase may take is over.</summary>
    public sealed record DeadlineReached(RoundId Round, RoundPhase Phase) : CoordinatorInput;

    /// <summary>Every part of the checkpoint is durable; only the event is missing.</summary>
    public sealed record PartsStored(RoundId Round, StoredParts Parts) : CoordinatorInput;

    /// <summary>The parts could not be stored; what was written will be swept.</summary>
    /// <param name="Round">Which round.</param>
    /// <param name="Reason">One line.</param>
    /// <param name="HasNoRoom">Whether the disk is full: then what retention would take with a commit goes at once.</param>
    public sealed record PartsNotStored(RoundId Round, string Reason, bool HasNoRoom = false) : CoordinatorInput;

    /// <summary>An append has ended.</summary>
    public sealed record AppendEnded(long AppendId, AppendResult Result) : CoordinatorInput;

    /// <summary>The stream cannot be read again: nobody can tell whether the append was written.</summary>
    /// <param name="AppendId">The append that the recovery was for.</param>
    /// <param name="Reason">One line.</param>
    public sealed record RecoveryFailed(long AppendId, string Reason) : CoordinatorInput;

    /// <summary>The stream has been read again after an append whose end is unknown.</summary>
    /// <param name="AppendId">The append that the recovery was for.</param>
    /// <param name="History">What the stream says.</param>
    /// <param name="WrittenInstead">
    /// The stream's end where the shell has put an abort in the append's place, so that it cannot be written any more; null where it
    /// has put none there.
    /// </param>
    public sealed record Recovered(long AppendId, MachineHistory History, JournalHead? WrittenInstead = null) : CoordinatorInput;
}

/// <summary>What was stored of a checkpoint before its event.</summary>
/// <param name="State">The state document.</param>
/// <param name="Segment">The memory segment, where memory was stored.</param>
/// <param name="Mode">Whether the memory is whole or builds on the parent's.</param>
/// <param name="MemoryBytes">Guest memory stored, in bytes, before any encoding.</param>
/// <param name="DirtyPages">Pages taken.</param>
/// <param name="GuestClockNs">KVM_GET_CLOCK at the pause, where the machine has one.</param>
/// <param name="Batching">How registers were read.</param>
public sealed record StoredParts(
    StoredPart State,
    SegmentPart? Segment,
    CheckpointMode Mode,
    long MemoryBytes,
    long DirtyPages,
    long? GuestClockNs,
    string Batching)
{
    /// <summary>How the memory was taken; how long that took before the pause the coordinator knows better.</summary>
    public MemoryTaking? Taking { get; init; }
}

/// <summary>How an append ended.</summary>
public abstract record AppendResult
{
    private AppendResult()
    {
    }

    /// <summary>Everything is durable.</summary>
    /// <param name="Head">The stream's new end.</param>
    public sealed record Committed(JournalHead Head) : AppendResult;

    /// <summary>Somebody else has written to the stream: this coordinator no longer owns it.</summary>
    public sealed record Conflict : AppendResult;

    /// <summary>Certainly nothing was written.</summary>
    /// <param name="Reason">One line.</param>
    /// <param name="HasNoRoom">Whether the disk is full.</param>
    public sealed record Refused(string Reason, bool HasNoRoom = false) : AppendResult;

    /// <summary>It may have been written or not; only the stream can tell.</summary>
    /// <param name="Reason">One line.</param>
    /// <param name="Intended">The stream's end if it was written.</param>
    public sealed record Unknown(string Reason, JournalHead Intended) : AppendResult;
}
