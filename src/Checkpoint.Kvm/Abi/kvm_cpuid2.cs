using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_SUPPORTED_CPUID, KVM_GET_CPUID2 and KVM_SET_CPUID2: nent of struct kvm_cpuid_entry2 follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_cpuid2
{
    internal uint nent;
    internal uint padding;
}
