using System.Collections.Immutable;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Coordination;

/// <summary>What a coordinator wants done. The shell does them in the order in which they were given.</summary>
public abstract record CoordinatorEffect
{
    private CoordinatorEffect()
    {
    }

    /// <summary>Something one participant must do.</summary>
    public abstract record ParticipantEffect(RoundId Round, int Participant) : CoordinatorEffect;

    /// <summary>
    /// Take beforehand what can be taken while the guest runs; it is told before anybody parks. Who is asked for what changed since
    /// the parent and does not know it takes all: <see cref="StoredParts.Mode"/> says what was taken.
    /// </summary>
    public sealed record PrepareParticipant(RoundId Round, int Participant, CheckpointMode Mode) : ParticipantEffect(Round, Participant)
    {
        /// <summary>How long the pause may be; null for as long as it takes. Who cannot keep it fails.</summary>
        public PauseLimit? Limit { get; init; }
    }

    /// <summary>
    /// The round is over. What was taken for one that is not committed belongs to the next. Nothing is reported, and a preparation
    /// still under way ends.
    /// </summary>
    public sealed record SettleParticipant(RoundId Round, int Participant, bool IsCommitted) : ParticipantEffect(Round, Participant);

    /// <summary>Kick it, let it finish pending IO, stop it.</summary>
    public sealed record ParkParticipant(RoundId Round, int Participant) : ParticipantEffect(Round, Participant);

    /// <summary>Read its state into buffers made beforehand.</summary>
    public sealed record CaptureParticipant(RoundId Round, int Participant) : ParticipantEffect(Round, Participant);

    /// <summary>Let it run again, parked or still on the way there.</summary>
    public sealed record ResumeParticipant(RoundId Round, int Participant) : ParticipantEffect(Round, Participant);

    /// <summary>Report <see cref="CoordinatorInput.DeadlineReached"/> after this time.</summary>
    public sealed record SetDeadline(RoundId Round, RoundPhase Phase, TimeSpan After) : CoordinatorEffect;

    /// <summary>Encode and store what was captured, everything durable.</summary>
    public sealed record StoreParts(RoundId Round, long Number, CheckpointId Id, long? Parent) : CoordinatorEffect;

    /// <summary>Append events in one transaction, with the state document that this round stored where it commits a checkpoint.</summary>
    /// <param name="AppendId">Comes back in <see cref="CoordinatorInput.AppendEnded"/>.</param>
    /// <param name="Expected">What the stream's end must be.</param>
    /// <param name="Events">In order.</param>
    /// <param name="StateOf">The round whose state document belongs to this transaction.</param>
    /// <param name="DeleteStateOf">Checkpoints whose state documents this transaction deletes.</param>
    public sealed record Append(
        long AppendId,
        JournalHead Expected,
        ImmutableArray<MachineEvent> Events,
        RoundId? StateOf,
        ImmutableArray<long> DeleteStateOf) : CoordinatorEffect;

    /// <summary>Delete the segments of pruned checkpoints; what a crash leaves behind is swept at the next opening.</summary>
    public sealed record DeleteSegments(ImmutableArray<SegmentPart> Segments) : CoordinatorEffect;

    /// <summary>Give up what this round captured or stored: it does not become a checkpoint.</summary>
    public sealed record DiscardParts(RoundId Round) : CoordinatorEffect;

    /// <summary>Read the stream again, then report <see cref="CoordinatorInput.Recovered"/>.</summary>
    public sealed record Recover(long AppendId) : CoordinatorEffect;

    /// <summary>Answer a caller.</summary>
    public sealed record Reply(long RequestId, CoordinatorReply Answer) : CoordinatorEffect;
}

/// <summary>The answer to a request.</summary>
public abstract record CoordinatorReply
{
    private CoordinatorReply()
    {
    }

    /// <summary>The checkpoint exists; everything it names is durable.</summary>
    public sealed record Committed(MachineEvent.CheckpointCommitted Checkpoint, ImmutableArray<long> Pruned) : CoordinatorReply;

    /// <summary>The round was given up; all participants that answer are running.</summary>
    public sealed record Aborted(MachineEvent.CheckpointAborted Abort) : CoordinatorReply
    {
        /// <summary>What retention took to make room, where there was none.</summary>
        public ImmutableArray<long> Pruned { get; init; } = [];
    }

    /// <summary>The request was not begun.</summary>
    public sealed record Refused(Refusal Obstacle) : CoordinatorReply;

    /// <summary>Done: a pin, an unpin, a prune, a stop.</summary>
    public sealed record Done(ImmutableArray<long> Numbers) : CoordinatorReply;
}
