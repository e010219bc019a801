using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_REGISTER.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_register
{
    internal uffdio_range range;
    internal ulong mode;
    internal ulong ioctls;
}
