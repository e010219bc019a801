namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>Whether a simulated kernel has KVM_GET_MANY_REGS and KVM_SET_MANY_REGS, and in which form.</summary>
public enum SimulatedManyRegs
{
    /// <summary>It has not: the calls answer EINVAL, as on every released kernel.</summary>
    Absent,

    /// <summary>It has them; a call without registers succeeds.</summary>
    Present,

    /// <summary>It has them, and once KVM_CAP_MANY_REGS is enabled a call that fails says how many registers it did.</summary>
    Counting,

    /// <summary>It has them as they were first proposed: a call without registers answers ENOMEM.</summary>
    AsProposed,
}
