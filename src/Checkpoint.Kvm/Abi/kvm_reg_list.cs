using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_REG_LIST: n 64-bit ids follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_reg_list
{
    internal ulong n;
}
