using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Tests.Abi;

/// <summary>Constants by their C names, with the values that this project gives them.</summary>
internal static class Constants
{
    internal static readonly (string Name, long Value)[] Capabilities =
    [
        ("KVM_CAP_IRQCHIP", KvmCapability.Irqchip),
        ("KVM_CAP_USER_MEMORY", KvmCapability.UserMemory),
        ("KVM_CAP_SET_TSS_ADDR", KvmCapability.SetTssAddress),
        ("KVM_CAP_EXT_CPUID", KvmCapability.ExtendedCpuid),
        ("KVM_CAP_NR_VCPUS", KvmCapability.RecommendedVcpus),
        ("KVM_CAP_NR_MEMSLOTS", KvmCapability.MemorySlots),
        ("KVM_CAP_MP_STATE", KvmCapability.MpState),
        ("KVM_CAP_IRQ_ROUTING", KvmCapability.IrqRouting),
        ("KVM_CAP_PIT2", KvmCapability.Pit2),
        ("KVM_CAP_SET_BOOT_CPU_ID", KvmCapability.SetBootCpuId),
        ("KVM_CAP_PIT_STATE2", KvmCapability.PitState2),
        ("KVM_CAP_SET_IDENTITY_MAP_ADDR", KvmCapability.SetIdentityMapAddress),
        ("KVM_CAP_ADJUST_CLOCK", KvmCapability.AdjustClock),
        ("KVM_CAP_VCPU_EVENTS", KvmCapability.VcpuEvents),
        ("KVM_CAP_DEBUGREGS", KvmCapability.DebugRegs),
        ("KVM_CAP_ENABLE_CAP", KvmCapability.EnableCap),
        ("KVM_CAP_XSAVE", KvmCapability.Xsave),
        ("KVM_CAP_XCRS", KvmCapability.Xcrs),
        ("KVM_CAP_TSC_CONTROL", KvmCapability.TscControl),
        ("KVM_CAP_GET_TSC_KHZ", KvmCapability.GetTscKhz),
        ("KVM_CAP_MAX_VCPUS", KvmCapability.MaxVcpus),
        ("KVM_CAP_ONE_REG", KvmCapability.OneReg),
        ("KVM_CAP_TSC_DEADLINE_TIMER", KvmCapability.TscDeadlineTimer),
        ("KVM_CAP_SYNC_REGS", KvmCapability.SyncRegs),
        ("KVM_CAP_KVMCLOCK_CTRL", KvmCapability.KvmclockCtrl),
        ("KVM_CAP_SIGNAL_MSI", KvmCapability.SignalMsi),
        ("KVM_CAP_READONLY_MEM", KvmCapability.ReadonlyMemory),
        ("KVM_CAP_DEVICE_CTRL", KvmCapability.DeviceControl),
        ("KVM_CAP_ENABLE_CAP_VM", KvmCapability.EnableCapVm),
        ("KVM_CAP_CHECK_EXTENSION_VM", KvmCapability.CheckExtensionVm),
        ("KVM_CAP_X86_SMM", KvmCapability.X86Smm),
        ("KVM_CAP_SPLIT_IRQCHIP", KvmCapability.SplitIrqchip),
        ("KVM_CAP_ARM_PMU_V3", KvmCapability.ArmPmuV3),
        ("KVM_CAP_VCPU_ATTRIBUTES", KvmCapability.VcpuAttributes),
        ("KVM_CAP_X2APIC_API", KvmCapability.X2ApicApi),
        ("KVM_CAP_IMMEDIATE_EXIT", KvmCapability.ImmediateExit),
        ("KVM_CAP_GET_MSR_FEATURES", KvmCapability.GetMsrFeatures),
        ("KVM_CAP_NESTED_STATE", KvmCapability.NestedState),
        ("KVM_CAP_EXCEPTION_PAYLOAD", KvmCapability.ExceptionPayload),
        ("KVM_CAP_ARM_VM_IPA_SIZE", KvmCapability.ArmVmIpaSize),
        ("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", KvmCapability.ManualDirtyLogProtect2),
        ("KVM_CAP_ARM_SVE", KvmCapability.ArmSve),
        ("KVM_CAP_DIRTY_LOG_RING", KvmCapability.DirtyLogRing),
        ("KVM_CAP_SREGS2", KvmCapability.Sregs2),
        ("KVM_CAP_XSAVE2", KvmCapability.Xsave2),
        ("KVM_CAP_VM_TSC_CONTROL", KvmCapability.VmTscControl),
        ("KVM_CAP_X86_TRIPLE_FAULT_EVENT", KvmCapability.X86TripleFaultEvent),
    ];

    internal static readonly (string Name, long Value)[] ExitReasons =
    [
        ("KVM_EXIT_UNKNOWN", (long)VcpuExitReason.Unknown),
        ("KVM_EXIT_EXCEPTION", (long)VcpuExitReason.Exception),
        ("KVM_EXIT_IO", (long)VcpuExitReason.Io),
        ("KVM_EXIT_HYPERCALL", (long)VcpuExitReason.Hypercall),
        ("KVM_EXIT_DEBUG", (long)VcpuExitReason.Debug),
        ("KVM_EXIT_HLT", (long)VcpuExitReason.Halt),
        ("KVM_EXIT_MMIO", (long)VcpuExitReason.Mmio),
        ("KVM_EXIT_IRQ_WINDOW_OPEN", (long)VcpuExitReason.InterruptWindowOpen),
        ("KVM_EXIT_SHUTDOWN", (long)VcpuExitReason.Shutdown),
        ("KVM_EXIT_FAIL_ENTRY", (long)VcpuExitReason.FailEntry),
        ("KVM_EXIT_INTR", (long)VcpuExitReason.Signal),
        ("KVM_EXIT_INTERNAL_ERROR", (long)VcpuExitReason.InternalError),
        ("KVM_EXIT_SYSTEM_EVENT", (long)VcpuExitReason.SystemEvent),
    ];

    internal static readonly (string Name, long Value)[] CLibrary =
    [
        ("O_RDWR", Libc.O_RDWR),
        ("O_CLOEXEC", Libc.O_CLOEXEC),
        ("PROT_READ", Libc.PROT_READ),
        ("PROT_WRITE", Libc.PROT_WRITE),
        ("MAP_SHARED", Libc.MAP_SHARED),
        ("MAP_PRIVATE", Libc.MAP_PRIVATE),
        ("MAP_ANONYMOUS", Libc.MAP_ANONYMOUS),
        ("MAP_NORESERVE", Libc.MAP_NORESERVE),
        ("MADV_DONTFORK", Libc.MADV_DONTFORK),
        ("MADV_HUGEPAGE", Libc.MADV_HUGEPAGE),
        ("MADV_DONTDUMP", Libc.MADV_DONTDUMP),
        ("SIG_BLOCK", Libc.SIG_BLOCK),
        ("SIG_SETMASK", Libc.SIG_SETMASK),
    ];

    internal static IEnumerable<(string Name, long Value)> All => Capabilities.Concat(ExitReasons).Concat(CLibrary);
}
