using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>What this host offers.</summary>
internal sealed record DoctorLine(
    string Arch,
    bool Kvm,
    string? KvmReason,
    bool Sim,
    int? Api,
    IReadOnlyDictionary<string, int> Capabilities,
    string? Batching,
    string Store,
    string StoreUri,
    string Kernel,
    int Cpus,
    string Version)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "doctor";
}
