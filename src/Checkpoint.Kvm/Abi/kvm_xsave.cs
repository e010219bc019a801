using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_XSAVE, KVM_SET_XSAVE and KVM_GET_XSAVE2. The last two move as many bytes as KVM_CAP_XSAVE2 says, which may be
// more than this struct declares.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_xsave
{
    internal fixed uint region[1024];
}
