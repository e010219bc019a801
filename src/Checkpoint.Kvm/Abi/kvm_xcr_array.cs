using System.Runtime.CompilerServices;

namespace Checkpoint.Kvm.Abi;

// The 16 (KVM_MAX_XCRS) places of struct kvm_xcrs.
[InlineArray(16)]
internal struct kvm_xcr_array
{
    private kvm_xcr _first;
}
