using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_ENABLE_CAP.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_enable_cap
{
    internal uint cap;
    internal uint flags;
    internal fixed ulong args[4];
    internal fixed byte pad[64];
}
