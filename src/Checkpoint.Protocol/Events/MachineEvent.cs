using System.Collections.Immutable;
using Checkpoint.Protocol.State;

namespace Checkpoint.Protocol.Events;

/// <summary>How much of the memory a checkpoint holds. The numbers are stored and never reused.</summary>
public enum CheckpointMode
{
    /// <summary>All of it.</summary>
    Full = 1,

    /// <summary>What changed since the parent.</summary>
    Incremental = 2,
}

/// <summary>Who asked for a checkpoint. The numbers are stored and never reused.</summary>
public enum CheckpointTrigger
{
    /// <summary>A caller.</summary>
    Request = 1,

    /// <summary>The machine's schedule.</summary>
    Schedule = 2,
}

/// <summary>A stored part: the state document or a segment.</summary>
/// <param name="Digest">SHA-256 of the state document, or of a segment's index.</param>
/// <param name="SizeBytes">Its size in bytes.</param>
public readonly record struct StoredPart(Digest Digest, long SizeBytes);

/// <summary>A memory segment file.</summary>
/// <param name="Name">Its file name, without a folder.</param>
/// <param name="IndexDigest">SHA-256 of its index, which holds a checksum of every page.</param>
/// <param name="SizeBytes">The size of the whole file.</param>
public sealed record SegmentPart(string Name, Digest IndexDigest, long SizeBytes);

/// <summary>How long the steps of a checkpoint took, in microseconds.</summary>
/// <param name="PauseUs">From the first kick until the last participant was running again.</param>
/// <param name="ParkUs">From the first kick until all were parked.</param>
/// <param name="CaptureUs">From all parked until all were captured.</param>
/// <param name="StoreUs">From telling the vCPUs to run until every part was durable, before the append.</param>
public readonly record struct CheckpointTimings(long PauseUs, long ParkUs, long CaptureUs, long StoreUs);

/// <summary>What a machine's stream is made of. Events are never deleted and hold ids, digests and counts, never registers or pages.</summary>
public abstract record MachineEvent
{
    private MachineEvent()
    {
    }

    /// <summary>When it happened, by the wall clock of the host.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>The first event of every stream.</summary>
    public sealed record MachineRegistered(
        string Vm,
        MachineArchitecture Architecture,
        int Vcpus,
        long MemoryBytes,
        CheckpointId? Origin) : MachineEvent;

    /// <summary>The commit: from here on the checkpoint exists and everything it names is durable.</summary>
    /// <param name="Number">Grows by one in its stream and is never reused.</param>
    /// <param name="Id">The checkpoint's identity everywhere.</param>
    /// <param name="Parent">The number of the checkpoint before it in the machine's life, where there is one.</param>
    /// <param name="Mode">Whether the memory is whole or builds on the parent's.</param>
    /// <param name="Trigger">Who asked.</param>
    /// <param name="Label">The caller's own words.</param>
    /// <param name="GuestClockNs">KVM_GET_CLOCK at the pause, in nanoseconds; null where the machine has none.</param>
    /// <param name="State">The state document.</param>
    /// <param name="Segment">The memory segment; null where no memory was stored.</param>
    /// <param name="MemoryBytes">Guest memory stored by this checkpoint, in bytes, before any encoding.</param>
    /// <param name="DirtyPages">Pages taken for this checkpoint.</param>
    /// <param name="Timings">How long the steps took.</param>
    /// <param name="Batching">How registers were read: many-regs, msrs or one-reg.</param>
    public sealed record CheckpointCommitted(
        long Number,
        CheckpointId Id,
        long? Parent,
        CheckpointMode Mode,
        CheckpointTrigger Trigger,
        string? Label,
        long? GuestClockNs,
        StoredPart State,
        SegmentPart? Segment,
        long MemoryBytes,
        long DirtyPages,
        CheckpointTimings Timings,
        string Batching) : MachineEvent
    {
        /// <summary>How the memory was taken; null in events of versions that did not say.</summary>
        public MemoryTaking? Taking { get; init; }

        /// <summary>Whether the pause was longer than it was to be; null where it might last as long as it took.</summary>
        public bool? IsOverMaxPause => Taking?.MaxPauseUs is { } most ? Timings.PauseUs > most : null;
    }

    /// <summary>A round that ended without a checkpoint.</summary>
    /// <param name="Reason">What happened, as one line.</param>
    /// <param name="Participant">Who could not go on (<c>vcpu 2</c>, <c>machine</c>, <c>device serial</c>), where it was a participant.</param>
    /// <param name="Register">The register that failed, by id, where it was one.</param>
    /// <param name="Errno">The error number, where the kernel said no.</param>
    public sealed record CheckpointAborted(
        string Reason,
        string? Participant,
        ulong? Register,
        int? Errno) : MachineEvent;

    /// <summary>Retention must keep this one.</summary>
    public sealed record CheckpointPinned(long Number) : MachineEvent;

    /// <summary>Retention may take it again.</summary>
    public sealed record CheckpointUnpinned(long Number) : MachineEvent;

    /// <summary>These no longer exist: their parts are deleted after this event.</summary>
    public sealed record CheckpointPruned(ImmutableArray<long> Numbers) : MachineEvent;

    /// <summary>A machine was built from a checkpoint and has started.</summary>
    /// <param name="FromVm">The stream that holds the checkpoint.</param>
    /// <param name="FromNumber">The checkpoint's number in that stream.</param>
    /// <param name="FromId">The checkpoint's identity.</param>
    /// <param name="Policy">The register policy's name.</param>
    /// <param name="Leniences">Registers that were let differ by the policy, by name.</param>
    /// <param name="GenerationId">The new generation id (VMGENID) that the embedder was given.</param>
    /// <param name="Continues">Whether this stream goes on from that checkpoint: the next checkpoint's parent is it.</param>
    public sealed record MachineRestored(
        string FromVm,
        long FromNumber,
        CheckpointId FromId,
        string Policy,
        ImmutableArray<string> Leniences,
        Guid GenerationId,
        bool Continues) : MachineEvent;
}
