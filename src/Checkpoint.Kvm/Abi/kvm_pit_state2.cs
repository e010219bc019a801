using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_PIT2 and KVM_SET_PIT2.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_pit_state2
{
    internal kvm_pit_channel_state_array channels;
    internal uint flags;
    internal fixed uint reserved[9];
}
