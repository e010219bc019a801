namespace Checkpoint.Kvm.Registers;

/// <summary>A register policy's file could not be used.</summary>
/// <param name="message">One line: what is wrong, where in the file, what to do.</param>
/// <param name="cause">What was thrown, where something was.</param>
public sealed class RegisterPolicyException(string message, Exception? cause = null) : Exception(message, cause);
