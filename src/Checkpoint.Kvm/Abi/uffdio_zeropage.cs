using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_ZEROPAGE; zeropage says how many bytes were mapped, or is the error number, negative.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_zeropage
{
    internal uffdio_range range;
    internal ulong mode;
    internal long zeropage;
}
