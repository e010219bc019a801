namespace Checkpoint.Protocol.Coordination;

/// <summary>Limits of a round and what is kept.</summary>
public sealed record CoordinatorOptions
{
    /// <summary>How long all participants together may take to park.</summary>
    public TimeSpan ParkDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long all participants together may take to be captured, counted from the end of <see cref="ParkDeadline"/>.</summary>
    public TimeSpan CaptureDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long participants may take to say that they run again before the round goes on without their word.</summary>
    public TimeSpan ResumeDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long storing waits for the vCPUs to run again. Storing needs a processor, and so do they: where there are as many
    /// processors as vCPUs all of them run within a fraction of this; where there are fewer some vCPU always waits for another.
    /// </summary>
    public TimeSpan StoreGrace { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>How long the stream may stay unreadable after an append whose end is unknown, before the machine's journal counts as lost; a stop waits as long.</summary>
    public TimeSpan RecoverDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How many checkpoints each commit keeps beside the pinned ones; null keeps all. At least 1.</summary>
    public int? Keep { get; init; }
}
