using Checkpoint.Kvm.Machines;

namespace Checkpoint.Actors;

/// <summary>This host could not take a checkpoint. Nothing ran, and the machine that was built for it is gone.</summary>
/// <param name="checkpoint">The checkpoint, as <c>VM@NUMBER</c>.</param>
/// <param name="refusals">Every register that was refused or read back otherwise.</param>
public sealed class RestoreRefusedException(string checkpoint, IReadOnlyList<RegisterRefusal> refusals)
    : Exception($"this host cannot restore {checkpoint}: registers refused: {refusals.Count}; the first is {refusals[0]}")
{
    /// <summary>Every register that was refused or read back otherwise.</summary>
    public IReadOnlyList<RegisterRefusal> Refusals { get; } = refusals;
}
