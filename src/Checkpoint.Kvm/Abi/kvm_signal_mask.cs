using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_SET_SIGNAL_MASK: a signal set of len bytes follows, which is always 8.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_signal_mask
{
    internal uint len;
}
