namespace Checkpoint.Protocol.State;

/// <summary>
/// Ids of state items that have none in the kernel, and the kernel's x86 MSR range. The top byte of a kernel register id names
/// the architecture (KVM_REG_ARM64 0x60…, KVM_REG_X86 0x20…); 0xf2… is ours.
/// </summary>
public static class StateIds
{
    /// <summary>x86 groups of one vCPU: this, or'ed with a small number that is never reused.</summary>
    public const ulong X64GroupBase = 0xf200_0000_0000_0000;

    /// <summary>x86 groups of the VM.</summary>
    public const ulong X64VmGroupBase = 0xf200_0000_0001_0000;

    /// <summary>KVM_X86_REG_TYPE_MSR, 64 bits wide (arch/x86/include/uapi/asm/kvm.h, Linux 6.18): or'ed with the MSR's index.</summary>
    public const ulong X64MsrBase = 0x2030_0002_0000_0000;

    /// <summary>The bits of an MSR's id that are the same for all MSRs.</summary>
    public const ulong X64MsrMask = 0xffff_ffff_0000_0000;

    /// <summary>struct kvm_mp_state.</summary>
    public const ulong X64MpState = X64GroupBase | 1;

    /// <summary>struct kvm_regs.</summary>
    public const ulong X64Regs = X64GroupBase | 2;

    /// <summary>struct kvm_sregs, on kernels without KVM_CAP_SREGS2.</summary>
    public const ulong X64Sregs = X64GroupBase | 3;

    /// <summary>struct kvm_sregs2.</summary>
    public const ulong X64Sregs2 = X64GroupBase | 4;

    /// <summary>struct kvm_xsave, with the size that KVM_CAP_XSAVE2 gives where the kernel has it.</summary>
    public const ulong X64Xsave = X64GroupBase | 5;

    /// <summary>struct kvm_xcrs.</summary>
    public const ulong X64Xcrs = X64GroupBase | 6;

    /// <summary>struct kvm_debugregs.</summary>
    public const ulong X64DebugRegs = X64GroupBase | 7;

    /// <summary>struct kvm_lapic_state.</summary>
    public const ulong X64Lapic = X64GroupBase | 8;

    /// <summary>The TSC frequency in kHz, 32 bits (KVM_GET_TSC_KHZ).</summary>
    public const ulong X64TscKhz = X64GroupBase | 9;

    /// <summary>struct kvm_vcpu_events.</summary>
    public const ulong X64VcpuEvents = X64GroupBase | 10;

    /// <summary>struct kvm_nested_state.</summary>
    public const ulong X64NestedState = X64GroupBase | 11;

    /// <summary>What the vCPU's TSC is before the host's, 64 bits (KVM_VCPU_TSC_OFFSET).</summary>
    public const ulong X64TscOffset = X64GroupBase | 12;

    /// <summary>struct kvm_pit_state2.</summary>
    public const ulong X64Pit2 = X64VmGroupBase | 1;

    /// <summary>struct kvm_clock_data.</summary>
    public const ulong X64Clock = X64VmGroupBase | 2;

    /// <summary>struct kvm_irqchip of the first 8259.</summary>
    public const ulong X64PicMaster = X64VmGroupBase | 3;

    /// <summary>struct kvm_irqchip of the second 8259.</summary>
    public const ulong X64PicSlave = X64VmGroupBase | 4;

    /// <summary>struct kvm_irqchip of the IOAPIC.</summary>
    public const ulong X64Ioapic = X64VmGroupBase | 5;

    /// <summary>The id of an x86 model specific register.</summary>
    /// <param name="index">The number that RDMSR takes in ECX.</param>
    public static ulong X64Msr(uint index) => X64MsrBase | index;
}
