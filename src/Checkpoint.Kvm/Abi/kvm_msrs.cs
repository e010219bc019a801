using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_MSRS and KVM_SET_MSRS: nmsrs of struct kvm_msr_entry follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msrs
{
    internal uint nmsrs;
    internal uint pad;
}
