using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// GDTR or IDTR, part of struct kvm_sregs.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_dtable
{
    internal ulong @base;
    internal ushort limit;
    internal fixed ushort padding[3];
}
