using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>A register that differs; the vCPU is null for the VM's own state, a value where that checkpoint has no such register.</summary>
internal sealed record DifferentRegisterLine(int? Vcpu, string Name, string? Left, string? Right)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "register";
}

/// <summary>A device whose state differs; only it knows what its bytes mean. A length is null where that checkpoint has no such device.</summary>
internal sealed record DifferentDeviceLine(string Name, int? LeftBytes, int? RightBytes)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "device";
}

/// <summary>Pages in a row that differ, or that only one of the machines has.</summary>
internal sealed record DifferentPagesLine(string GuestAddress, long Pages)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "pages";
}

/// <summary>How many differences there are.</summary>
internal sealed record DiffLine(string Left, string Right, long Registers, long Devices, long Pages)
{
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "diff";
}
