using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_MP_STATE and KVM_SET_MP_STATE.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_mp_state
{
    internal uint mp_state;
}
