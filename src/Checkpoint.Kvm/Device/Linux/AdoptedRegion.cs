using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>A memory slot of a machine that somebody else built.</summary>
/// <param name="Region">The slot as it was given to KVM_SET_USER_MEMORY_REGION.</param>
/// <param name="HostAddress">Where this process has the slot's first byte mapped: userspace_addr of the same call.</param>
public sealed record AdoptedRegion(MemoryRegion Region, nint HostAddress);
