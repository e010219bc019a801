using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>Everything that is stored of one checkpoint, its registers and its memory excepted.</summary>
internal sealed record ShowLine(
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
    long? GuestClockNs,
    long PauseUs,
    long ParkUs,
    long CaptureUs,
    long StoreUs,
    string Batching,
    long StateBytes,
    string StateSha256,
    string? Segment,
    long SegmentBytes,
    string? SegmentIndexSha256,
    bool? SegmentCompressed,
    long MemoryBytes,
    long DirtyPages,
    ShownMachine Machine,
    IReadOnlyList<ShownDevice> Devices,
    ShownGuest? Guest)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "show";
}

/// <summary>How the machine is built again.</summary>
internal sealed record ShownMachine(
    string Arch,
    bool Simulated,
    string InterruptChip,
    IReadOnlyList<ShownVcpu> Vcpus,
    IReadOnlyList<ShownRegion> Memory,
    IReadOnlyList<uint> Capabilities,
    string? TssAddress,
    string? IdentityMapAddress,
    int GsiRoutes);

/// <summary>One vCPU of the machine.</summary>
internal sealed record ShownVcpu(int Vcpu, uint Id, int FeatureBytes, int StateItems, int StateBytes);

/// <summary>One memory slot.</summary>
internal sealed record ShownRegion(uint Slot, uint Flags, string Address, ulong Bytes);

/// <summary>One device.</summary>
internal sealed record ShownDevice(string Name, int Bytes);

/// <summary>The guest of this program that ran in the machine, as the stored registers and the stored memory have it.</summary>
internal sealed record ShownGuest(
    string Kind,
    string LoopStart,
    string LoopEnd,
    bool Verified,
    IReadOnlyList<ulong> Steps,
    IReadOnlyList<string> Failures,
    IReadOnlyList<ShownStep> Vcpus);

/// <summary>Where one vCPU of the guest stands; a counter also with n and x(n), in registers and in memory.</summary>
internal sealed record ShownStep(int Vcpu, string? Rip, string Pc, bool InLoop, ulong? NRegister, ulong? NMemory, string? XRegister, string? XMemory);

/// <summary>The registers of one vCPU, or of the VM where the vCPU is null.</summary>
internal sealed record RegistersLine(string Vm, long Checkpoint, int? Vcpu, IReadOnlyDictionary<string, string> Registers)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "registers";
}
