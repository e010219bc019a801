namespace Checkpoint.Kvm.Device;

/// <summary>KVM_CAP_* numbers that the engine asks for, from <c>&lt;linux/kvm.h&gt;</c>.</summary>
public static class KvmCapability
{
    /// <summary>KVM_CAP_IRQCHIP: KVM_CREATE_IRQCHIP.</summary>
    public const uint Irqchip = 0;

    /// <summary>KVM_CAP_USER_MEMORY: KVM_SET_USER_MEMORY_REGION.</summary>
    public const uint UserMemory = 3;

    /// <summary>KVM_CAP_SET_TSS_ADDR.</summary>
    public const uint SetTssAddress = 4;

    /// <summary>KVM_CAP_EXT_CPUID: KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2.</summary>
    public const uint ExtendedCpuid = 7;

    /// <summary>KVM_CAP_NR_VCPUS: how many vCPUs are recommended.</summary>
    public const uint RecommendedVcpus = 9;

    /// <summary>KVM_CAP_NR_MEMSLOTS: how many memory slots a VM may have.</summary>
    public const uint MemorySlots = 10;

    /// <summary>KVM_CAP_MP_STATE.</summary>
    public const uint MpState = 14;

    /// <summary>KVM_CAP_IRQ_ROUTING: KVM_SET_GSI_ROUTING; the value is the most routes.</summary>
    public const uint IrqRouting = 25;

    /// <summary>KVM_CAP_PIT2.</summary>
    public const uint Pit2 = 33;

    /// <summary>KVM_CAP_SET_BOOT_CPU_ID.</summary>
    public const uint SetBootCpuId = 34;

    /// <summary>KVM_CAP_PIT_STATE2.</summary>
    public const uint PitState2 = 35;

    /// <summary>KVM_CAP_SET_IDENTITY_MAP_ADDR.</summary>
    public const uint SetIdentityMapAddress = 37;

    /// <summary>KVM_CAP_ADJUST_CLOCK: KVM_GET_CLOCK; the value is the flags that it may return.</summary>
    public const uint AdjustClock = 39;

    /// <summary>KVM_CAP_VCPU_EVENTS.</summary>
    public const uint VcpuEvents = 41;

    /// <summary>KVM_CAP_DEBUGREGS.</summary>
    public const uint DebugRegs = 50;

    /// <summary>KVM_CAP_ENABLE_CAP: KVM_ENABLE_CAP on a vCPU.</summary>
    public const uint EnableCap = 54;

    /// <summary>KVM_CAP_XSAVE.</summary>
    public const uint Xsave = 55;

    /// <summary>KVM_CAP_XCRS.</summary>
    public const uint Xcrs = 56;

    /// <summary>KVM_CAP_TSC_CONTROL: KVM_SET_TSC_KHZ.</summary>
    public const uint TscControl = 60;

    /// <summary>KVM_CAP_GET_TSC_KHZ.</summary>
    public const uint GetTscKhz = 61;

    /// <summary>KVM_CAP_MAX_VCPUS: how many vCPUs a VM may have.</summary>
    public const uint MaxVcpus = 66;

    /// <summary>KVM_CAP_ONE_REG: KVM_GET_ONE_REG and KVM_SET_ONE_REG.</summary>
    public const uint OneReg = 70;

    /// <summary>KVM_CAP_TSC_DEADLINE_TIMER.</summary>
    public const uint TscDeadlineTimer = 72;

    /// <summary>KVM_CAP_SYNC_REGS: the value is the register groups that struct kvm_run can carry.</summary>
    public const uint SyncRegs = 74;

    /// <summary>KVM_CAP_KVMCLOCK_CTRL.</summary>
    public const uint KvmclockCtrl = 76;

    /// <summary>KVM_CAP_SIGNAL_MSI.</summary>
    public const uint SignalMsi = 77;

    /// <summary>KVM_CAP_READONLY_MEM: KVM_MEM_READONLY slots.</summary>
    public const uint ReadonlyMemory = 81;

    /// <summary>KVM_CAP_DEVICE_CTRL: KVM_CREATE_DEVICE and the device attributes.</summary>
    public const uint DeviceControl = 89;

    /// <summary>KVM_CAP_ENABLE_CAP_VM: KVM_ENABLE_CAP on a VM.</summary>
    public const uint EnableCapVm = 98;

    /// <summary>KVM_CAP_CHECK_EXTENSION_VM: KVM_CHECK_EXTENSION on a VM.</summary>
    public const uint CheckExtensionVm = 105;

    /// <summary>KVM_CAP_X86_SMM.</summary>
    public const uint X86Smm = 117;

    /// <summary>KVM_CAP_SPLIT_IRQCHIP: local APICs in the kernel, the other controllers outside.</summary>
    public const uint SplitIrqchip = 121;

    /// <summary>KVM_CAP_ARM_PMU_V3.</summary>
    public const uint ArmPmuV3 = 126;

    /// <summary>KVM_CAP_VCPU_ATTRIBUTES: device attributes on a vCPU.</summary>
    public const uint VcpuAttributes = 127;

    /// <summary>KVM_CAP_X2APIC_API.</summary>
    public const uint X2ApicApi = 129;

    /// <summary>KVM_CAP_IMMEDIATE_EXIT: kvm_run.immediate_exit.</summary>
    public const uint ImmediateExit = 136;

    /// <summary>KVM_CAP_GET_MSR_FEATURES.</summary>
    public const uint GetMsrFeatures = 153;

    /// <summary>KVM_CAP_NESTED_STATE: the value is the greatest size of struct kvm_nested_state.</summary>
    public const uint NestedState = 157;

    /// <summary>KVM_CAP_EXCEPTION_PAYLOAD.</summary>
    public const uint ExceptionPayload = 164;

    /// <summary>KVM_CAP_ARM_VM_IPA_SIZE.</summary>
    public const uint ArmVmIpaSize = 165;

    /// <summary>KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: KVM_CLEAR_DIRTY_LOG.</summary>
    public const uint ManualDirtyLogProtect2 = 168;

    /// <summary>KVM_CAP_ARM_SVE.</summary>
    public const uint ArmSve = 170;

    /// <summary>KVM_CAP_DIRTY_LOG_RING.</summary>
    public const uint DirtyLogRing = 192;

    /// <summary>
    /// KVM_CAP_MANY_REGS of the kernel in kernel/: the value is the most registers of one call. Enabled with 1, a call that fails says
    /// how many registers it did.
    /// </summary>
    public const uint ManyRegs = 0xaec7;

    /// <summary>KVM_CAP_SREGS2: KVM_GET_SREGS2 and KVM_SET_SREGS2.</summary>
    public const uint Sregs2 = 200;

    /// <summary>KVM_CAP_XSAVE2: the value is the bytes that KVM_GET_XSAVE2 and KVM_SET_XSAVE move.</summary>
    public const uint Xsave2 = 208;

    /// <summary>KVM_CAP_VM_TSC_CONTROL: KVM_SET_TSC_KHZ on a VM.</summary>
    public const uint VmTscControl = 214;

    /// <summary>KVM_CAP_X86_TRIPLE_FAULT_EVENT.</summary>
    public const uint X86TripleFaultEvent = 218;
}
