using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// linux/userfaultfd.h
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_writeprotect
{
    internal uffdio_range range;
    internal ulong mode;
}
