using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One CPUID leaf, part of struct kvm_cpuid2.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_cpuid_entry2
{
    internal uint function;
    internal uint index;
    internal uint flags;
    internal uint eax;
    internal uint ebx;
    internal uint ecx;
    internal uint edx;
    internal fixed uint padding[3];
}
