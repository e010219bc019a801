using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One MSR, part of struct kvm_msrs.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_msr_entry
{
    internal uint index;
    internal uint reserved;
    internal ulong data;
}
