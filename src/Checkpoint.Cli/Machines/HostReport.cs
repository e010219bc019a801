using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>What KVM of this host offers.</summary>
/// <param name="Reason">Why it cannot be used; null where it can.</param>
/// <param name="ApiVersion">KVM_GET_API_VERSION.</param>
/// <param name="Capabilities">What KVM_CHECK_EXTENSION answers, by the capability's name.</param>
/// <param name="Batching">How registers are read: many-regs, msrs or one-reg.</param>
internal sealed record HostReport(string? Reason, int? ApiVersion, IReadOnlyDictionary<string, int> Capabilities, string? Batching)
{
    private static readonly (string Name, uint Number)[] s_capabilities =
    [
        ("KVM_CAP_NR_VCPUS", KvmCapability.RecommendedVcpus),
        ("KVM_CAP_MAX_VCPUS", KvmCapability.MaxVcpus),
        ("KVM_CAP_NR_MEMSLOTS", KvmCapability.MemorySlots),
        ("KVM_CAP_USER_MEMORY", KvmCapability.UserMemory),
        ("KVM_CAP_READONLY_MEM", KvmCapability.ReadonlyMemory),
        ("KVM_CAP_IMMEDIATE_EXIT", KvmCapability.ImmediateExit),
        ("KVM_CAP_ONE_REG", KvmCapability.OneReg),
        ("KVM_CAP_SYNC_REGS", KvmCapability.SyncRegs),
        ("KVM_CAP_MP_STATE", KvmCapability.MpState),
        ("KVM_CAP_VCPU_EVENTS", KvmCapability.VcpuEvents),
        ("KVM_CAP_DEBUGREGS", KvmCapability.DebugRegs),
        ("KVM_CAP_XSAVE", KvmCapability.Xsave),
        ("KVM_CAP_XSAVE2", KvmCapability.Xsave2),
        ("KVM_CAP_XCRS", KvmCapability.Xcrs),
        ("KVM_CAP_SREGS2", KvmCapability.Sregs2),
        ("KVM_CAP_NESTED_STATE", KvmCapability.NestedState),
        ("KVM_CAP_TSC_CONTROL", KvmCapability.TscControl),
        ("KVM_CAP_GET_TSC_KHZ", KvmCapability.GetTscKhz),
        ("KVM_CAP_ADJUST_CLOCK", KvmCapability.AdjustClock),
        ("KVM_CAP_IRQCHIP", KvmCapability.Irqchip),
        ("KVM_CAP_SPLIT_IRQCHIP", KvmCapability.SplitIrqchip),
        ("KVM_CAP_PIT2", KvmCapability.Pit2),
        ("KVM_CAP_PIT_STATE2", KvmCapability.PitState2),
        ("KVM_CAP_IRQ_ROUTING", KvmCapability.IrqRouting),
        ("KVM_CAP_X2APIC_API", KvmCapability.X2ApicApi),
        ("KVM_CAP_EXCEPTION_PAYLOAD", KvmCapability.ExceptionPayload),
        ("KVM_CAP_X86_TRIPLE_FAULT_EVENT", KvmCapability.X86TripleFaultEvent),
        ("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", KvmCapability.ManualDirtyLogProtect2),
        ("KVM_CAP_DIRTY_LOG_RING", KvmCapability.DirtyLogRing),
        ("KVM_CAP_ARM_VM_IPA_SIZE", KvmCapability.ArmVmIpaSize),
        ("KVM_CAP_ARM_PMU_V3", KvmCapability.ArmPmuV3),
        ("KVM_CAP_ARM_SVE", KvmCapability.ArmSve),
    ];

    private static readonly Dictionary<string, int> s_none = [];

    /// <summary>Asks the kernel.</summary>
    /// <param name="device">The device file.</param>
    public static HostReport Examine(string device)
    {
        if (!SystemHandle.TryOpen(out var kvm, out var reason, device))
            return new HostReport(reason, null, s_none, null);
        using (kvm)
        {
            try
            {
                var capabilities = s_capabilities.Where(IsOfThisHost).ToDictionary(each => each.Name, each => kvm.CheckExtension(each.Number));
                // Building a small machine proves more than asking does: a sandbox may open the device and still refuse VMs.
                var architecture = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? MachineArchitecture.Arm64 : MachineArchitecture.X64;
                return new HostReport(null, kvm.ApiVersion, capabilities, BatchingCheck.BestOf(kvm, architecture));
            }
            catch (KvmException exception)
            {
                return new HostReport(exception.Message, null, s_none, null);
            }
        }
    }

    private static bool IsOfThisHost((string Name, uint Number) capability) =>
        RuntimeInformation.ProcessArchitecture == Architecture.Arm64 || !capability.Name.StartsWith("KVM_CAP_ARM_", StringComparison.Ordinal);
}
