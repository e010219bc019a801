using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One extended control register, part of struct kvm_xcrs.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_xcr
{
    internal uint xcr;
    internal uint reserved;
    internal ulong value;
}
