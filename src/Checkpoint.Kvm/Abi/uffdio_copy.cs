using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_COPY; copy says how many bytes were copied, or is the error number, negative.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_copy
{
    internal ulong dst;
    internal ulong src;
    internal ulong len;
    internal ulong mode;
    internal long copy;
}
