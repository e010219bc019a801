using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR; addr is the address of the value.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_device_attr
{
    internal uint flags;
    internal uint group;
    internal ulong attr;
    internal ulong addr;
}
