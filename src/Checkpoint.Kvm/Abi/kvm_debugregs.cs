using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_DEBUGREGS and KVM_SET_DEBUGREGS.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_debugregs
{
    internal fixed ulong db[4];
    internal ulong dr6;
    internal ulong dr7;
    internal ulong flags;
    internal fixed ulong reserved[9];
}
