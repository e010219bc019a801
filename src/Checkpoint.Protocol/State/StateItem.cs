namespace Checkpoint.Protocol.State;

/// <summary>One register, or one group of registers that the kernel hands over as a whole.</summary>
/// <param name="Id">
/// The 64-bit id. Where the kernel has one (KVM_GET_ONE_REG, Documentation/virt/kvm/api.rst 4.68) it is the kernel's;
/// x86 groups use <see cref="StateIds.X64GroupBase"/>, a range that the kernel does not use.
/// </param>
/// <param name="Value">The bytes exactly as the kernel gave them, little endian.</param>
public readonly record struct StateItem(ulong Id, ReadOnlyMemory<byte> Value);
