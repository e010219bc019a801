using Checkpoint.Remote;

namespace Checkpoint.Actors.Tests.Arm64;

/// <summary>A test on an emulated arm64 machine: skipped, with the reason, where the emulator or the kernel is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class Arm64FactAttribute : FactAttribute
{
    public Arm64FactAttribute() => Skip = ReasonAgainst;

    internal static string? ReasonAgainst { get; } = AgentHost.ReasonAgainstArm64();
}

/// <summary>As <see cref="Arm64FactAttribute"/>, for a test with several cases.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class Arm64TheoryAttribute : TheoryAttribute
{
    public Arm64TheoryAttribute() => Skip = Arm64FactAttribute.ReasonAgainst;
}
