namespace Checkpoint.Kvm.Device;

/// <summary>/dev/kvm, or something that behaves as it: where VMs come from. Every call throws <see cref="KvmException"/> when the kernel says no.</summary>
public interface IKvm : IDisposable
{
    /// <summary>KVM_GET_API_VERSION; 12 for every kernel since 2.6.22.</summary>
    int ApiVersion { get; }

    /// <summary>
    /// How fast the counter that guests read counts, in Hz: CNTFRQ_EL0 of the host, which no call of KVM tells. 0 on
    /// architectures without one.
    /// </summary>
    ulong CounterHz { get; }

    /// <summary>KVM_CHECK_EXTENSION on the system.</summary>
    /// <param name="capability">A KVM_CAP_* number, see <see cref="KvmCapability"/>.</param>
    /// <returns>0 where it is not there; what a positive value means depends on the capability.</returns>
    int CheckExtension(uint capability);

    /// <summary>KVM_GET_SUPPORTED_CPUID (x86): entries of 40 bytes, struct kvm_cpuid_entry2.</summary>
    ReadOnlyMemory<byte> GetSupportedCpuid();

    /// <summary>KVM_GET_MSR_INDEX_LIST (x86): the MSRs that belong to a saved state. KVM may list some that it can't read.</summary>
    uint[] GetMsrIndexList();

    /// <summary>KVM_CREATE_VM.</summary>
    /// <param name="type">The machine type; 0 for the default.</param>
    IVm CreateVm(ulong type = 0);
}
