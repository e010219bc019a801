namespace Checkpoint.Protocol.Coordination;

/// <summary>The protocol said no. Each case states the obstacle.</summary>
public abstract record Refusal
{
    private Refusal()
    {
    }

    /// <summary>One line for a person.</summary>
    public abstract string Describe();

    /// <summary>One round at a time.</summary>
    public sealed record CheckpointAlreadyRunning : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => "a checkpoint is already running";
    }

    /// <summary>A participant has ended for good, so no checkpoint of the whole machine can be taken.</summary>
    public sealed record ParticipantIsGone(string Participant, string Reason) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => $"{Participant} has ended: {Reason}";
    }

    /// <summary>The coordinator is stopping or has stopped.</summary>
    public sealed record Stopping : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => "the machine's coordinator has stopped";
    }

    /// <summary>The coordinator has ended by a defect, or was ended at work; the guest runs on.</summary>
    public sealed record CoordinatorEnded(string Reason) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => $"the machine's coordinator has ended: {Reason}; open the machine again to go on";
    }

    /// <summary>Somebody else has written to the machine's stream.</summary>
    public sealed record OwnershipLost : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => "another process has written to this machine's journal; open it again to go on";
    }

    /// <summary>The end of an append is unknown and the stream cannot be read again.</summary>
    public sealed record JournalLost(string Reason) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => $"the journal is lost, the last write may have happened or not: {Reason}; open the machine again to go on";
    }

    /// <summary>There is no such checkpoint.</summary>
    public sealed record NoSuchCheckpoint(string Reference) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => $"there is no checkpoint {Reference}";
    }

    /// <summary>A prune must keep at least one checkpoint.</summary>
    public sealed record NothingWouldBeKept(int Keep) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => $"at least 1 checkpoint is kept, not {Keep}";
    }

    /// <summary>The journal did not take the event, and certainly has not written it.</summary>
    public sealed record JournalRefused(string Reason) : Refusal
    {
        /// <inheritdoc/>
        public override string Describe() => Reason;
    }
}
