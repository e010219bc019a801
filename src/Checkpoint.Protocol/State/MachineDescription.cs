using System.Collections.Immutable;

namespace Checkpoint.Protocol.State;

/// <summary>The processor architecture of a machine. The numbers are stored and never reused.</summary>
public enum MachineArchitecture
{
    /// <summary>x86-64.</summary>
    X64 = 1,

    /// <summary>AArch64.</summary>
    Arm64 = 2,
}

/// <summary>Which interrupt controllers the kernel emulates. The numbers are stored and never reused.</summary>
public enum InterruptChip
{
    /// <summary>None: the machine's owner emulates all of them.</summary>
    None = 0,

    /// <summary>The local APICs only (KVM_CAP_SPLIT_IRQCHIP).</summary>
    Split = 1,

    /// <summary>Local APICs, both 8259, the IOAPIC and the 8254 (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2).</summary>
    Full = 2,

    /// <summary>arm64: a GICv3 without ITS (KVM_DEV_TYPE_ARM_VGIC_V3), as <see cref="GicDescription"/> says.</summary>
    GicV3 = 3,
}

/// <summary>Where a GICv3 is and how many interrupts it has; set before it is initialised, and never changed.</summary>
/// <param name="DistributorAddress">Guest physical address of the distributor's 64 KiB, a multiple of 64 KiB.</param>
/// <param name="RedistributorAddress">Guest physical address of the redistributors, 128 KiB for each vCPU, a multiple of 64 KiB.</param>
/// <param name="Interrupts">Interrupts in all (SGIs, PPIs and SPIs): 64 to 992, a multiple of 32.</param>
public sealed record GicDescription(ulong DistributorAddress, ulong RedistributorAddress, uint Interrupts);

/// <summary>One memory slot (KVM_SET_USER_MEMORY_REGION).</summary>
/// <param name="Slot">The slot's number.</param>
/// <param name="Flags">KVM_MEM_* flags that belong to the machine (KVM_MEM_READONLY), without the ones that the engine sets for itself.</param>
/// <param name="GuestAddress">Guest physical address of the first byte, page aligned.</param>
/// <param name="SizeBytes">Size in bytes, a multiple of the page size.</param>
public sealed record MemoryRegion(uint Slot, uint Flags, ulong GuestAddress, ulong SizeBytes)
{
    /// <summary>The unit of guest memory: bytes of one page.</summary>
    public const int PageBytes = 4096;
}

/// <summary>A capability that was switched on by KVM_ENABLE_CAP on the VM before its vCPUs were made.</summary>
/// <param name="Capability">KVM_CAP_* number.</param>
/// <param name="Flags">The flags word of struct kvm_enable_cap.</param>
/// <param name="Arguments">The four argument words.</param>
public sealed record EnabledCapability(uint Capability, uint Flags, ImmutableArray<ulong> Arguments);

/// <summary>What a vCPU is made with.</summary>
/// <param name="Id">The id given to KVM_CREATE_VCPU: on x86 its APIC id.</param>
/// <param name="Features">
/// x86: the entries of struct kvm_cpuid2 (40 bytes each) as given to KVM_SET_CPUID2. arm64: struct kvm_vcpu_init, followed
/// with SVE by the 64 bytes of KVM_REG_ARM64_SVE_VLS, which can be set before KVM_ARM_VCPU_FINALIZE only.
/// </param>
public sealed record VcpuDescription(uint Id, ReadOnlyMemory<byte> Features);

/// <summary>All that is needed to build the same machine again, empty: memory, vCPUs, interrupt chips, capabilities.</summary>
/// <param name="Architecture">The processor architecture.</param>
/// <param name="Memory">The memory slots, in ascending order of guest address.</param>
/// <param name="InterruptChip">Which interrupt controllers the kernel emulates.</param>
/// <param name="Vcpus">The vCPUs in the order of their creation.</param>
/// <param name="Capabilities">Capabilities to enable on the VM, in the order in which they were enabled.</param>
/// <param name="TssAddress">KVM_SET_TSS_ADDR, where it was set.</param>
/// <param name="IdentityMapAddress">KVM_SET_IDENTITY_MAP_ADDR, where it was set.</param>
/// <param name="GsiRouting">The entries of struct kvm_irq_routing (48 bytes each) as given to KVM_SET_GSI_ROUTING; empty for the kernel's default.</param>
public sealed record MachineDescription(
    MachineArchitecture Architecture,
    ImmutableArray<MemoryRegion> Memory,
    InterruptChip InterruptChip,
    ImmutableArray<VcpuDescription> Vcpus,
    ImmutableArray<EnabledCapability> Capabilities,
    ulong? TssAddress,
    ulong? IdentityMapAddress,
    ReadOnlyMemory<byte> GsiRouting)
{
    /// <summary>The GICv3 of a machine with <see cref="InterruptChip.GicV3"/>; null for every other.</summary>
    public GicDescription? Gic { get; init; }

    /// <summary>The size of all memory slots together, in bytes.</summary>
    public ulong MemoryBytes => Memory.Aggregate(0UL, (sum, region) => sum + region.SizeBytes);
}
