using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>
/// A vCPU's performance monitor (KVM_ARM_VCPU_PMU_V3_CTRL, Documentation/virt/kvm/devices/vcpu.rst). Until it is initialised a vCPU that has one
/// can't run (EINVAL). Its registers are in the vCPU's list.
/// </summary>
internal static class Arm64Pmu
{
    private const uint Control = 0; // KVM_ARM_VCPU_PMU_V3_CTRL
    private const ulong Interrupt = 0; // KVM_ARM_VCPU_PMU_V3_IRQ
    private const ulong Initialise = 1; // KVM_ARM_VCPU_PMU_V3_INIT

    // PPI 7, which the Arm Base System Architecture gives to the performance monitor; guests find it in their device tree.
    private const ulong OverflowInterrupt = 23;

    /// <summary>Initialises it, after the interrupt controller.</summary>
    /// <exception cref="KvmException">The kernel says no.</exception>
    public static void Start(IVcpu vcpu, Arm64VcpuFeatures features, bool hasGic)
    {
        if (!features.HasFlag(Arm64VcpuFeatures.Pmu))
            return;
        if (hasGic)
            vcpu.SetAttribute(Control, Interrupt, OverflowInterrupt);
        vcpu.SetAttribute(Control, Initialise, 0);
    }

    /// <summary>Looks whether a restore would give a vCPU the interrupt that its owner gave it.</summary>
    /// <exception cref="NotSupportedException">It would not.</exception>
    public static void RequireUsual(IVcpu vcpu, Arm64VcpuFeatures features, bool hasGic)
    {
        if (features.HasFlag(Arm64VcpuFeatures.Pmu) && hasGic && vcpu.GetAttribute(Control, Interrupt) is var interrupt and not OverflowInterrupt)
            throw new NotSupportedException($"vCPU {vcpu.Index} has its performance monitor on interrupt {interrupt}; a checkpoint can be taken of one on {OverflowInterrupt} only.");
    }
}
