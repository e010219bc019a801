namespace Checkpoint.Kvm.Machines;

/// <summary>What came of setting a machine to a checkpoint's state.</summary>
/// <param name="Refusals">Every register that was refused, is missing or read back otherwise; empty when the machine is the checkpoint's.</param>
/// <param name="Leniences">The names of the registers that did differ and that the policy let differ, each once, in order.</param>
public sealed record RestoreReport(IReadOnlyList<RegisterRefusal> Refusals, IReadOnlyList<string> Leniences);
