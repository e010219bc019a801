namespace Checkpoint.Actors.Akka.Messages;

/// <summary>To a vCPU's actor: park, with no IO pending, until <see cref="ResumeVcpu"/>. Answered by <see cref="VcpuSuspended"/>.</summary>
public sealed record SuspendVcpu
{
    /// <summary>The message.</summary>
    public static SuspendVcpu Instance { get; } = new();
}

/// <summary>The vCPU is parked.</summary>
/// <param name="Vcpu">Its index.</param>
/// <param name="WasRunning">False where it was parked already, was never started, or has ended.</param>
public sealed record VcpuSuspended(int Vcpu, bool WasRunning);

/// <summary>To a vCPU's actor: run, at once or when the round under way lets the others run. Answered by <see cref="VcpuResumed"/>.</summary>
public sealed record ResumeVcpu
{
    /// <summary>The message.</summary>
    public static ResumeVcpu Instance { get; } = new();
}

/// <summary>The vCPU has been told to run.</summary>
/// <param name="Vcpu">Its index.</param>
public sealed record VcpuResumed(int Vcpu);

/// <summary>
/// To a vCPU's actor: park, with no IO pending, and end for good. Answered by <see cref="VcpuStopped"/>; every further checkpoint of
/// the machine is refused by the vCPU's name.
/// </summary>
public sealed record StopVcpu
{
    /// <summary>The message.</summary>
    public static StopVcpu Instance { get; } = new();
}

/// <summary>The vCPU's thread has left it.</summary>
/// <param name="Vcpu">Its index.</param>
public sealed record VcpuStopped(int Vcpu);
