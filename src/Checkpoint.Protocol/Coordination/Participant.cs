namespace Checkpoint.Protocol.Coordination;

/// <summary>What a participant is. The order of the phases of a round follows from it.</summary>
public enum ParticipantKind
{
    /// <summary>A vCPU: parked first, resumed last.</summary>
    Vcpu,

    /// <summary>A device whose threads may write guest memory: parked after the vCPUs, resumed before them.</summary>
    Device,

    /// <summary>The VM itself, its clock, interrupt chips and memory: it does nothing by itself, so it is captured but never parked.</summary>
    Machine,
}

/// <summary>Somebody whose state belongs to a checkpoint.</summary>
/// <param name="Index">Its place in the coordinator's table, from 0.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Name">What messages call it: <c>vcpu 2</c>, <c>device serial</c>, <c>machine</c>.</param>
public sealed record Participant(int Index, ParticipantKind Kind, string Name);

/// <summary>Why a participant could not go on.</summary>
/// <param name="Reason">One line.</param>
/// <param name="Register">The register that failed, by id, where it was one.</param>
/// <param name="Errno">The error number, where the kernel said no.</param>
public sealed record ParticipantFailure(string Reason, ulong? Register = null, int? Errno = null);
