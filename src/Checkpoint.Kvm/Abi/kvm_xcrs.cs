using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_XCRS and KVM_SET_XCRS.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_xcrs
{
    internal uint nr_xcrs;
    internal uint flags;
    internal kvm_xcr_array xcrs;
    internal fixed ulong padding[16];
}
