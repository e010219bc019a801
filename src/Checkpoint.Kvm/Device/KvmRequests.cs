using System.Runtime.CompilerServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device;

/// <summary>
/// The request table: every KVM ioctl that the engine makes, grouped by the kind of fd that takes it. Codes are computed from
/// direction, number and the size of the struct, so that a struct with a wrong size gives a wrong code and fails at once.
/// </summary>
public static class KvmRequests
{
    private const uint Type = 0xae;
    private const uint NoData = 0;
    private const uint UserWrites = 1;
    private const uint UserReads = 2;

    // /dev/kvm.

    /// <summary>KVM_GET_API_VERSION.</summary>
    public static readonly KvmRequest GetApiVersion = Io(0x00, "KVM_GET_API_VERSION");

    /// <summary>KVM_CREATE_VM.</summary>
    public static readonly KvmRequest CreateVm = Io(0x01, "KVM_CREATE_VM");

    /// <summary>KVM_GET_MSR_INDEX_LIST (x86).</summary>
    public static readonly KvmRequest GetMsrIndexList = Iowr<kvm_msr_list>(0x02, "KVM_GET_MSR_INDEX_LIST");

    /// <summary>KVM_CHECK_EXTENSION; VM fds take it as well.</summary>
    public static readonly KvmRequest CheckExtension = Io(0x03, "KVM_CHECK_EXTENSION");

    /// <summary>KVM_GET_VCPU_MMAP_SIZE.</summary>
    public static readonly KvmRequest GetVcpuMmapSize = Io(0x04, "KVM_GET_VCPU_MMAP_SIZE");

    /// <summary>KVM_GET_SUPPORTED_CPUID (x86).</summary>
    public static readonly KvmRequest GetSupportedCpuid = Iowr<kvm_cpuid2>(0x05, "KVM_GET_SUPPORTED_CPUID");

    /// <summary>KVM_GET_MSR_FEATURE_INDEX_LIST (x86): the MSRs that KVM_GET_MSRS reads on /dev/kvm itself.</summary>
    public static readonly KvmRequest GetMsrFeatureIndexList = Iowr<kvm_msr_list>(0x0a, "KVM_GET_MSR_FEATURE_INDEX_LIST");

    // VM fds.

    /// <summary>KVM_CREATE_VCPU.</summary>
    public static readonly KvmRequest CreateVcpu = Io(0x41, "KVM_CREATE_VCPU");

    /// <summary>KVM_GET_DIRTY_LOG; the direction bits of its code say otherwise, but the kernel writes through the struct's pointer.</summary>
    public static readonly KvmRequest GetDirtyLog = Iow<kvm_dirty_log>(0x42, "KVM_GET_DIRTY_LOG");

    /// <summary>KVM_SET_USER_MEMORY_REGION.</summary>
    public static readonly KvmRequest SetUserMemoryRegion = Iow<kvm_userspace_memory_region>(0x46, "KVM_SET_USER_MEMORY_REGION");

    /// <summary>KVM_SET_TSS_ADDR (x86).</summary>
    public static readonly KvmRequest SetTssAddress = Io(0x47, "KVM_SET_TSS_ADDR");

    /// <summary>KVM_SET_IDENTITY_MAP_ADDR (x86).</summary>
    public static readonly KvmRequest SetIdentityMapAddress = Iow<ulong>(0x48, "KVM_SET_IDENTITY_MAP_ADDR");

    /// <summary>KVM_CREATE_IRQCHIP.</summary>
    public static readonly KvmRequest CreateIrqchip = Io(0x60, "KVM_CREATE_IRQCHIP");

    /// <summary>KVM_IRQ_LINE.</summary>
    public static readonly KvmRequest IrqLine = Iow<kvm_irq_level>(0x61, "KVM_IRQ_LINE");

    /// <summary>KVM_GET_IRQCHIP (x86).</summary>
    public static readonly KvmRequest GetIrqchip = Iowr<kvm_irqchip>(0x62, "KVM_GET_IRQCHIP");

    /// <summary>KVM_SET_IRQCHIP (x86); the header declares it with the direction of a read.</summary>
    public static readonly KvmRequest SetIrqchip = Ior<kvm_irqchip>(0x63, "KVM_SET_IRQCHIP");

    /// <summary>KVM_SET_GSI_ROUTING.</summary>
    public static readonly KvmRequest SetGsiRouting = Iow<kvm_irq_routing>(0x6a, "KVM_SET_GSI_ROUTING");

    /// <summary>KVM_CREATE_PIT2 (x86).</summary>
    public static readonly KvmRequest CreatePit2 = Iow<kvm_pit_config>(0x77, "KVM_CREATE_PIT2");

    /// <summary>KVM_SET_BOOT_CPU_ID (x86).</summary>
    public static readonly KvmRequest SetBootCpuId = Io(0x78, "KVM_SET_BOOT_CPU_ID");

    /// <summary>KVM_SET_CLOCK (x86).</summary>
    public static readonly KvmRequest SetClock = Iow<kvm_clock_data>(0x7b, "KVM_SET_CLOCK");

    /// <summary>KVM_GET_CLOCK (x86).</summary>
    public static readonly KvmRequest GetClock = Ior<kvm_clock_data>(0x7c, "KVM_GET_CLOCK");

    /// <summary>KVM_GET_PIT2 (x86).</summary>
    public static readonly KvmRequest GetPit2 = Ior<kvm_pit_state2>(0x9f, "KVM_GET_PIT2");

    /// <summary>KVM_SET_PIT2 (x86).</summary>
    public static readonly KvmRequest SetPit2 = Iow<kvm_pit_state2>(0xa0, "KVM_SET_PIT2");

    /// <summary>KVM_SIGNAL_MSI.</summary>
    public static readonly KvmRequest SignalMsi = Iow<kvm_msi>(0xa5, "KVM_SIGNAL_MSI");

    /// <summary>KVM_ENABLE_CAP; vCPU fds take it as well.</summary>
    public static readonly KvmRequest EnableCap = Iow<kvm_enable_cap>(0xa3, "KVM_ENABLE_CAP");

    /// <summary>KVM_ARM_PREFERRED_TARGET (arm64).</summary>
    public static readonly KvmRequest ArmPreferredTarget = Ior<kvm_vcpu_init>(0xaf, "KVM_ARM_PREFERRED_TARGET");

    /// <summary>KVM_CLEAR_DIRTY_LOG.</summary>
    public static readonly KvmRequest ClearDirtyLog = Iowr<kvm_clear_dirty_log>(0xc0, "KVM_CLEAR_DIRTY_LOG");

    /// <summary>KVM_CREATE_DEVICE.</summary>
    public static readonly KvmRequest CreateDevice = Iowr<kvm_create_device>(0xe0, "KVM_CREATE_DEVICE");

    /// <summary>KVM_SET_DEVICE_ATTR; vCPU and device fds take it as well.</summary>
    public static readonly KvmRequest SetDeviceAttr = Iow<kvm_device_attr>(0xe1, "KVM_SET_DEVICE_ATTR");

    /// <summary>KVM_GET_DEVICE_ATTR; vCPU and device fds take it as well.</summary>
    public static readonly KvmRequest GetDeviceAttr = Iow<kvm_device_attr>(0xe2, "KVM_GET_DEVICE_ATTR");

    /// <summary>KVM_HAS_DEVICE_ATTR; vCPU and device fds take it as well.</summary>
    public static readonly KvmRequest HasDeviceAttr = Iow<kvm_device_attr>(0xe3, "KVM_HAS_DEVICE_ATTR");

    // vCPU fds.

    /// <summary>KVM_RUN.</summary>
    public static readonly KvmRequest Run = Io(0x80, "KVM_RUN");

    /// <summary>KVM_GET_REGS (x86).</summary>
    public static readonly KvmRequest GetRegs = Ior<kvm_regs>(0x81, "KVM_GET_REGS");

    /// <summary>KVM_SET_REGS (x86).</summary>
    public static readonly KvmRequest SetRegs = Iow<kvm_regs>(0x82, "KVM_SET_REGS");

    /// <summary>KVM_GET_SREGS (x86).</summary>
    public static readonly KvmRequest GetSregs = Ior<kvm_sregs>(0x83, "KVM_GET_SREGS");

    /// <summary>KVM_SET_SREGS (x86).</summary>
    public static readonly KvmRequest SetSregs = Iow<kvm_sregs>(0x84, "KVM_SET_SREGS");

    /// <summary>KVM_GET_MSRS (x86); /dev/kvm takes it as well, for the feature MSRs.</summary>
    public static readonly KvmRequest GetMsrs = Iowr<kvm_msrs>(0x88, "KVM_GET_MSRS");

    /// <summary>KVM_SET_MSRS (x86).</summary>
    public static readonly KvmRequest SetMsrs = Iow<kvm_msrs>(0x89, "KVM_SET_MSRS");

    /// <summary>KVM_SET_SIGNAL_MASK.</summary>
    public static readonly KvmRequest SetSignalMask = Iow<kvm_signal_mask>(0x8b, "KVM_SET_SIGNAL_MASK");

    /// <summary>KVM_GET_FPU (x86).</summary>
    public static readonly KvmRequest GetFpu = Ior<kvm_fpu>(0x8c, "KVM_GET_FPU");

    /// <summary>KVM_SET_FPU (x86).</summary>
    public static readonly KvmRequest SetFpu = Iow<kvm_fpu>(0x8d, "KVM_SET_FPU");

    /// <summary>KVM_GET_LAPIC (x86).</summary>
    public static readonly KvmRequest GetLapic = Ior<kvm_lapic_state>(0x8e, "KVM_GET_LAPIC");

    /// <summary>KVM_SET_LAPIC (x86).</summary>
    public static readonly KvmRequest SetLapic = Iow<kvm_lapic_state>(0x8f, "KVM_SET_LAPIC");

    /// <summary>KVM_SET_CPUID2 (x86).</summary>
    public static readonly KvmRequest SetCpuid2 = Iow<kvm_cpuid2>(0x90, "KVM_SET_CPUID2");

    /// <summary>KVM_GET_CPUID2 (x86).</summary>
    public static readonly KvmRequest GetCpuid2 = Iowr<kvm_cpuid2>(0x91, "KVM_GET_CPUID2");

    /// <summary>KVM_GET_MP_STATE.</summary>
    public static readonly KvmRequest GetMpState = Ior<kvm_mp_state>(0x98, "KVM_GET_MP_STATE");

    /// <summary>KVM_SET_MP_STATE.</summary>
    public static readonly KvmRequest SetMpState = Iow<kvm_mp_state>(0x99, "KVM_SET_MP_STATE");

    /// <summary>KVM_GET_VCPU_EVENTS (x86, arm64).</summary>
    public static readonly KvmRequest GetVcpuEvents = Ior<kvm_vcpu_events>(0x9f, "KVM_GET_VCPU_EVENTS");

    /// <summary>KVM_SET_VCPU_EVENTS (x86, arm64).</summary>
    public static readonly KvmRequest SetVcpuEvents = Iow<kvm_vcpu_events>(0xa0, "KVM_SET_VCPU_EVENTS");

    /// <summary>KVM_GET_DEBUGREGS (x86).</summary>
    public static readonly KvmRequest GetDebugregs = Ior<kvm_debugregs>(0xa1, "KVM_GET_DEBUGREGS");

    /// <summary>KVM_SET_DEBUGREGS (x86).</summary>
    public static readonly KvmRequest SetDebugregs = Iow<kvm_debugregs>(0xa2, "KVM_SET_DEBUGREGS");

    /// <summary>KVM_SET_TSC_KHZ (x86): the argument is the frequency in kHz; VM fds take it as well.</summary>
    public static readonly KvmRequest SetTscKhz = Io(0xa2, "KVM_SET_TSC_KHZ");

    /// <summary>KVM_GET_TSC_KHZ (x86): the call returns the frequency in kHz; VM fds take it as well.</summary>
    public static readonly KvmRequest GetTscKhz = Io(0xa3, "KVM_GET_TSC_KHZ");

    /// <summary>KVM_GET_XSAVE (x86): the first 4096 bytes.</summary>
    public static readonly KvmRequest GetXsave = Ior<kvm_xsave>(0xa4, "KVM_GET_XSAVE");

    /// <summary>KVM_SET_XSAVE (x86): as many bytes as KVM_CAP_XSAVE2 says, and at least 4096.</summary>
    public static readonly KvmRequest SetXsave = Iow<kvm_xsave>(0xa5, "KVM_SET_XSAVE");

    /// <summary>KVM_GET_XSAVE2 (x86): as many bytes as KVM_CAP_XSAVE2 says. What it returns is set by KVM_SET_XSAVE.</summary>
    public static readonly KvmRequest GetXsave2 = Ior<kvm_xsave>(0xcf, "KVM_GET_XSAVE2");

    /// <summary>KVM_GET_XCRS (x86).</summary>
    public static readonly KvmRequest GetXcrs = Ior<kvm_xcrs>(0xa6, "KVM_GET_XCRS");

    /// <summary>KVM_SET_XCRS (x86).</summary>
    public static readonly KvmRequest SetXcrs = Iow<kvm_xcrs>(0xa7, "KVM_SET_XCRS");

    /// <summary>KVM_GET_ONE_REG; the kernel writes through the struct's pointer.</summary>
    public static readonly KvmRequest GetOneReg = Iow<kvm_one_reg>(0xab, "KVM_GET_ONE_REG");

    /// <summary>KVM_SET_ONE_REG.</summary>
    public static readonly KvmRequest SetOneReg = Iow<kvm_one_reg>(0xac, "KVM_SET_ONE_REG");

    /// <summary>KVM_KVMCLOCK_CTRL (x86): tells the guest that it was stopped, so that its watchdogs do not fire.</summary>
    public static readonly KvmRequest KvmclockCtrl = Io(0xad, "KVM_KVMCLOCK_CTRL");

    /// <summary>KVM_ARM_VCPU_INIT (arm64).</summary>
    public static readonly KvmRequest ArmVcpuInit = Iow<kvm_vcpu_init>(0xae, "KVM_ARM_VCPU_INIT");

    /// <summary>KVM_GET_REG_LIST.</summary>
    public static readonly KvmRequest GetRegList = Iowr<kvm_reg_list>(0xb0, "KVM_GET_REG_LIST");

    /// <summary>KVM_GET_NESTED_STATE (x86); the struct's size says how much room there is.</summary>
    public static readonly KvmRequest GetNestedState = Iowr<kvm_nested_state>(0xbe, "KVM_GET_NESTED_STATE");

    /// <summary>KVM_SET_NESTED_STATE (x86).</summary>
    public static readonly KvmRequest SetNestedState = Iow<kvm_nested_state>(0xbf, "KVM_SET_NESTED_STATE");

    /// <summary>KVM_ARM_VCPU_FINALIZE (arm64).</summary>
    public static readonly KvmRequest ArmVcpuFinalize = Iow<int>(0xc2, "KVM_ARM_VCPU_FINALIZE");

    /// <summary>KVM_GET_MANY_REGS; shares its number, not its code, with KVM_RESET_DIRTY_RINGS.</summary>
    public static readonly KvmRequest GetManyRegs = Iow<kvm_many_regs>(0xc7, "KVM_GET_MANY_REGS");

    /// <summary>KVM_SET_MANY_REGS; shares its number, not its code, with KVM_XEN_HVM_GET_ATTR.</summary>
    public static readonly KvmRequest SetManyRegs = Iow<kvm_many_regs>(0xc8, "KVM_SET_MANY_REGS");

    /// <summary>KVM_GET_SREGS2 (x86).</summary>
    public static readonly KvmRequest GetSregs2 = Ior<kvm_sregs2>(0xcc, "KVM_GET_SREGS2");

    /// <summary>KVM_SET_SREGS2 (x86).</summary>
    public static readonly KvmRequest SetSregs2 = Iow<kvm_sregs2>(0xcd, "KVM_SET_SREGS2");

    private static KvmRequest Io(uint number, string name) => Compose(NoData, number, 0, name);

    private static KvmRequest Ior<T>(uint number, string name)
        where T : unmanaged => Compose(UserReads, number, Unsafe.SizeOf<T>(), name);

    private static KvmRequest Iow<T>(uint number, string name)
        where T : unmanaged => Compose(UserWrites, number, Unsafe.SizeOf<T>(), name);

    private static KvmRequest Iowr<T>(uint number, string name)
        where T : unmanaged => Compose(UserWrites | UserReads, number, Unsafe.SizeOf<T>(), name);

    // The layout of <asm-generic/ioctl.h>: eight bits of number, eight of type, fourteen of size, two of direction.
    private static KvmRequest Compose(uint direction, uint number, int sizeBytes, string name) =>
        new((direction << 30) | ((uint)sizeBytes << 16) | (Type << 8) | number, name);
}
