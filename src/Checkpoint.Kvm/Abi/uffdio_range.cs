using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_UNREGISTER, UFFDIO_WAKE.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_range
{
    internal ulong start;
    internal ulong len;
}
