using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>What a verification has read and found.</summary>
internal sealed record VerifyLine(long Checkpoints, long Segments, IReadOnlyList<DamagedLine> Damaged, IReadOnlyList<UncommittedLine> Uncommitted)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "verified";
}

/// <summary>One damaged part.</summary>
internal sealed record DamagedLine(string Vm, long? Checkpoint, string Part, string What);

/// <summary>A checkpoint that is being taken, or was when its process ended.</summary>
internal sealed record UncommittedLine(string Vm, long Checkpoint);
