using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_ONE_REG and KVM_SET_ONE_REG; addr is the address of the value.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_one_reg
{
    internal ulong id;
    internal ulong addr;
}
