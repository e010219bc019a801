using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>One machine of the store.</summary>
internal sealed record MachineLine(
    string Vm,
    string? Arch,
    int? Vcpus,
    long? MemoryBytes,
    int Checkpoints,
    long? Latest,
    string? LatestId,
    DateTimeOffset? LatestAt,
    long? LatestAgeMs,
    long StoredBytes,
    IReadOnlyList<long> Pinned,
    string? Damaged)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "machine";
}

/// <summary>One checkpoint of a machine.</summary>
internal sealed record CheckpointLine(
    string Vm,
    long Checkpoint,
    string Id,
    DateTimeOffset At,
    long AgeMs,
    string Mode,
    long? Parent,
    string Trigger,
    string? Label,
    bool Pinned,
    long PauseUs,
    long StateBytes,
    long SegmentBytes,
    long MemoryBytes,
    long DirtyPages)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "checkpoint";
}
