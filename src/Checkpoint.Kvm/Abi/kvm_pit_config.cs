using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_CREATE_PIT2.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_pit_config
{
    internal uint flags;
    internal fixed uint pad[15];
}
