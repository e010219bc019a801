using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_MANY_REGS and KVM_SET_MANY_REGS: n of struct kvm_one_reg follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_many_regs
{
    internal ulong n;
}
