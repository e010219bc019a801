using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_CLOCK and KVM_SET_CLOCK.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_clock_data
{
    internal ulong clock;
    internal uint flags;
    internal uint pad0;
    internal ulong realtime;
    internal ulong host_tsc;
    internal fixed uint pad[4];
}
