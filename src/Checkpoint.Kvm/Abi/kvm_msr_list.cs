using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST: nmsrs 32-bit indices follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msr_list
{
    internal uint nmsrs;
}
