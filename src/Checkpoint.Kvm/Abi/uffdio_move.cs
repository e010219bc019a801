using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_MOVE; move says how many bytes were moved, or is the error number, negative.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_move
{
    internal ulong dst;
    internal ulong src;
    internal ulong len;
    internal ulong mode;
    internal long move;
}
