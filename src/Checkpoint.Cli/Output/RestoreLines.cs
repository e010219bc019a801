using System.Text.Json.Serialization;
using Checkpoint.Kvm.Machines;
using ErrorNumber = Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Cli.Output;

/// <summary>A checkpoint was brought back and its vCPUs were told to run.</summary>
internal sealed record RestoredLine(
    string Vm,
    long Checkpoint,
    string Id,
    int Vcpus,
    long MemoryBytes,
    long RestoreUs,
    long FirstRunUs,
    string Machine,
    string Arch,
    string Batching,
    string Policy,
    IReadOnlyList<string> Leniences,
    string Fill,
    string? FillObstacle)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "restored";
}

/// <summary>What became of the guest.</summary>
internal sealed record GuestLine(
    bool Verified,
    IReadOnlyList<ulong> StepsAtCheckpoint,
    IReadOnlyList<ulong> StepsNow,
    ulong HopsAtCheckpoint,
    ulong HopsNow,
    IReadOnlyList<ulong> TicksAtCheckpoint,
    IReadOnlyList<ulong> TicksNow,
    string Guest,
    long RanMs,
    bool Recorded,
    IReadOnlyList<string> Failures,
    long? FilledUs)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "guest";
}

/// <summary>Whether this host could restore a checkpoint.</summary>
internal sealed record CheckLine(
    string Vm, long Checkpoint, int Vcpus, bool Ok, string Machine, string Arch, string Policy, IReadOnlyList<string> Leniences, IReadOnlyList<RefusedLine> Refused)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "check";
}

/// <summary>
/// One register that this host does not take as the checkpoint holds it. The bits are those in the way, where they could be found; the batch
/// is that in which the register travelled.
/// </summary>
internal sealed record RefusedLine(
    int? Vcpu, string Register, string? Wanted, string? Found, int Errno, string? ErrnoName, IReadOnlyList<int> Bits, int? BatchWritten, int? BatchSize)
{
    public static RefusedLine Of(RegisterRefusal refusal) => new(
        refusal.Vcpu,
        refusal.Register,
        refusal.Wanted.IsEmpty ? null : Hex.Of(refusal.Wanted.Span),
        refusal.Found.IsEmpty ? null : Hex.Of(refusal.Found.Span),
        refusal.Errno,
        refusal.Errno == 0 ? null : ErrorNumber.NameOf(refusal.Errno),
        [.. Enumerable.Range(0, 64).Where(bit => (refusal.Bits >> bit & 1) != 0)],
        refusal.BatchSize == 0 ? null : refusal.BatchWritten,
        refusal.BatchSize == 0 ? null : refusal.BatchSize);
}
