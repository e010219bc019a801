using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>Ids of the parts of an arm64 vCPU's state that have none in the kernel, beside those of <see cref="StateIds"/>.</summary>
public static class Arm64StateIds
{
    /// <summary>arm64 groups of one vCPU: this, or'ed with a small number that is never reused.</summary>
    public const ulong VcpuGroupBase = 0xf200_0000_0002_0000;

    /// <summary>struct kvm_mp_state.</summary>
    public const ulong MpState = VcpuGroupBase | 1;

    /// <summary>struct kvm_vcpu_events as arm64 lays it out.</summary>
    public const ulong VcpuEvents = VcpuGroupBase | 2;

    /// <summary>arm64 registers of a GICv3: this, or'ed with what <see cref="GicRegister"/> says.</summary>
    public const ulong GicBase = 0xf203_0000_0000_0000;

    /// <summary>The bits that all of a GIC's ids have in common.</summary>
    public const ulong GicMask = 0xffff_0000_0000_0000;

    /// <summary>arm64 items of the VM: this, or'ed with a small number that is never reused.</summary>
    public const ulong VmGroupBase = 0xf200_0000_0003_0000;

    /// <summary>CNTFRQ_EL0: how fast the counters of all vCPUs count, in Hz; 64 bits.</summary>
    public const ulong CounterHz = VmGroupBase | 1;

    /// <summary>
    /// The fields of the groups. In struct kvm_vcpu_events (arch/arm64/include/uapi/asm/kvm.h) three flags, padding to eight
    /// bytes, the syndrome, then reserved words.
    /// </summary>
    internal static IReadOnlyList<RegisterField> Fields { get; } =
    [
        new("arm_mp_state", MpState, 0, 4),
        new("serror_pending", VcpuEvents, 0, 1),
        new("serror_has_esr", VcpuEvents, 1, 1),
        new("ext_dabt_pending", VcpuEvents, 2, 1),
        new("serror_esr", VcpuEvents, 8, 8),
        new("counter_hz", CounterHz, 0, 8),
    ];

    /// <summary>The name of a group; null for an id that is none of these.</summary>
    internal static string? NameOf(ulong id) => id switch
    {
        MpState => "ARM_MP_STATE",
        VcpuEvents => "ARM_VCPU_EVENTS",
        CounterHz => "ARM_COUNTER_HZ",
        _ => null,
    };
}
