using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Coordination;

/// <summary>
/// All deadlines, and what is kept. They are set in this one place: for a machine with its attachment, for restores and for all
/// machines without options of their own with the engine. docs/FAULTS.md says what happens when each is over.
/// </summary>
/// <exception cref="OptionOutOfRangeException">Thrown where an option is set to what it cannot be: deadlines are from 1 ms to 1 day.</exception>
public sealed record CoordinatorOptions
{
    /// <summary>
    /// How long the machine may take what can be taken while the guest runs: its memory, at the speed of memory, and the wait for
    /// a place in the buffer that all machines share.
    /// </summary>
    public TimeSpan PrepareDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(60);

    /// <summary>How long all participants together may take to park.</summary>
    public TimeSpan ParkDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(2);

    /// <summary>How long all participants together may take to be captured, counted from the end of <see cref="ParkDeadline"/>.</summary>
    public TimeSpan CaptureDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(10);

    /// <summary>How long participants may take to say that they run again before the round goes on without their word.</summary>
    public TimeSpan ResumeDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long storing waits for the vCPUs to run again. Storing needs a processor, and so do they: where there are as many
    /// processors as vCPUs all of them run within a fraction of this; where there are fewer some vCPU always waits for another.
    /// </summary>
    public TimeSpan StoreGrace { get; init => field = OptionLimits.Grace(value); } = TimeSpan.FromMilliseconds(1);

    /// <summary>
    /// How long the memory's segment may take to be written; then the round is aborted. A call that hangs in the system cannot be
    /// ended: after this time it is told of, and the round goes on when it ends. The guest runs meanwhile.
    /// </summary>
    public TimeSpan StoreDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromMinutes(5);

    /// <summary>How long the stream may stay unreadable after an append whose end is unknown, before the machine's journal counts as lost; a stop waits as long, and no longer than <see cref="StopDeadline"/>.</summary>
    public TimeSpan RecoverDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(60);

    /// <summary>How long a restore may take; then it is given up, and the machine thrown away.</summary>
    public TimeSpan RestoreDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// How long a stop waits for the round under way, and then as long again for what is being stored. What hangs for longer is left
    /// behind, with the machine's lock, until it has ended.
    /// </summary>
    public TimeSpan StopDeadline { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(30);

    /// <summary>Whether checkpoints hold all memory or, after a first one, what changed since the one before.</summary>
    public CheckpointMode Mode { get; init => field = OptionLimits.Mode(value); } = CheckpointMode.Full;

    /// <summary>How long a checkpoint may pause the guest, from the first kick until the last participant runs again; null for as long as it takes.</summary>
    public TimeSpan? MaxPause { get; init => field = value is { } most ? OptionLimits.Pause(most) : null; }

    /// <summary>What happens where the rest of the memory would make the pause longer than <see cref="MaxPause"/>.</summary>
    public OverMaxPause OverMaxPause { get; init => field = OptionLimits.Over(value); } = OverMaxPause.Protect;

    /// <summary>
    /// How many checkpoints a restore may have to read: an increment's chain, the full checkpoint at its bottom included. The next
    /// one after that is full. At least 1.
    /// </summary>
    public int MaxChain { get; init => field = OptionLimits.Count(value); } = 16;

    /// <summary>Whether memory is compressed as it is stored, after the guest runs again. Such a checkpoint is restored eagerly.</summary>
    public bool Compress { get; init; }

    /// <summary>
    /// How many checkpoints each commit keeps beside the pinned ones, and each abort for want of room on the disk; null keeps all. At least 1.
    /// </summary>
    public int? Keep { get; init => field = value is { } keep ? OptionLimits.Count(keep) : null; }
}
