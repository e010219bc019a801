using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE: the header; size says how many bytes it has together with the data that
// follows.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_nested_state
{
    internal ushort flags;
    internal ushort format;
    internal uint size;
    internal fixed byte hdr[120];
}
