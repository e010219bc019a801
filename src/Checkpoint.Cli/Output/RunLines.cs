using System.Text.Json.Serialization;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Cli.Output;

/// <summary>The guest runs, from here on under checkpoints.</summary>
internal sealed record StartedLine(
    string Vm, string Machine, string Arch, string Guest, int Vcpus, long MemoryBytes, ulong Seed, double EveryMs, int? Keep, string Mode, bool Compress, string? From,
    string? Policy, IReadOnlyList<string>? Leniences, string? Fill, int Pid)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "started";
}

/// <summary>A checkpoint is durable.</summary>
internal sealed record CommittedLine(
    string Vm,
    long Checkpoint,
    string Id,
    long? Parent,
    string Mode,
    long PauseUs,
    long ParkUs,
    long CaptureUs,
    long StoreUs,
    long DurableUs,
    long StateBytes,
    long MemoryBytes,
    long SegmentBytes,
    long DirtyPages,
    string Batching,
    string? MemoryWay,
    int? Rounds,
    long? PagesLeft,
    long? PrepareUs,
    bool? OverMaxPause,
    IReadOnlyList<long> Pruned)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "committed";

    /// <param name="isOver">Whether the pause was longer than it was to be; null where no bound was given.</param>
    public static CommittedLine Of(string vm, MachineEvent.CheckpointCommitted committed, TimeSpan durable, bool? isOver, IReadOnlyList<long> pruned) => new(
        vm,
        committed.Number,
        committed.Id.ToString(),
        committed.Parent,
        Words.Of(committed.Mode),
        committed.Timings.PauseUs,
        committed.Timings.ParkUs,
        committed.Timings.CaptureUs,
        committed.Timings.StoreUs,
        (long)durable.TotalMicroseconds,
        committed.State.SizeBytes,
        committed.MemoryBytes,
        committed.Segment?.SizeBytes ?? 0,
        committed.DirtyPages,
        committed.Batching,
        committed.Taking is { } taking ? Words.Of(taking.Way) : null,
        committed.Taking?.Rounds,
        committed.Taking?.PagesLeft,
        committed.Taking?.PrepareUs,
        isOver,
        pruned);
}

/// <summary>A round ended without a checkpoint; the guest runs on.</summary>
internal sealed record AbortedLine(string Vm, string Reason, string? Participant, string? Register, int? Errno, IReadOnlyList<long> Pruned)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "aborted";
}

/// <summary>The pauses of a run, in microseconds.</summary>
internal sealed record PauseLine(long P50, long P99, long Max);

/// <summary>The run is over.</summary>
internal sealed record StoppedLine(
    string Vm,
    string Reason,
    long Checkpoints,
    long Aborted,
    long? LastCheckpoint,
    long RanMs,
    PauseLine? PauseUs,
    long? OverMaxPause,
    bool Verified,
    IReadOnlyList<ulong> Steps,
    IReadOnlyList<string> Failures,
    long? Faults)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "stopped";
}

/// <summary>A fault is injected.</summary>
internal sealed record FaultLine(string Vm, string Kind, string Call, string Participant, long Number, string? Phase, string What)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "fault";
}

/// <summary>Something has happened to the machine's store.</summary>
internal sealed record NoticeLine(string Vm, string Kind, string What)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "store";
}
