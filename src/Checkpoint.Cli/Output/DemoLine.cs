using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>What the demonstration has shown.</summary>
internal sealed record DemoLine(
    string Machine,
    string Arch,
    string Guest,
    int Vcpus,
    long MemoryBytes,
    ulong Seed,
    string Batching,
    double EveryMs,
    long KilledAfterMs,
    long Checkpoints,
    long LastAcknowledged,
    long Restored,
    string RestoredId,
    bool Verified,
    PauseLine PauseUs,
    long RestoreUs,
    long FirstRunUs,
    long RanMs,
    IReadOnlyList<ulong> StepsAtCheckpoint,
    IReadOnlyList<ulong> StepsNow,
    IReadOnlyList<string> Failures)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "demo";
}
