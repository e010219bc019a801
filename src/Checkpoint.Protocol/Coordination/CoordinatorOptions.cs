namespace Checkpoint.Protocol.Coordination;

/// <summary>Limits of a round and what is kept.</summary>
public sealed record CoordinatorOptions
{
    /// <summary>How long all participants together may take to park.</summary>
    public TimeSpan ParkDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long all participants together may take to be captured, once all are parked.</summary>
    public TimeSpan CaptureDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long participants may take to say that they run again before the round goes on without their word.</summary>
    public TimeSpan ResumeDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How many checkpoints each commit keeps beside the pinned ones; null keeps all. At least 1.</summary>
    public int? Keep { get; init; }
}
