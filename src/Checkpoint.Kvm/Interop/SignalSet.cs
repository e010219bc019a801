using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

// sigset_t of the C library: 128 bytes, of which the kernel knows the first eight, one bit a signal from signal 1 on.
[StructLayout(LayoutKind.Explicit, Size = 128)]
internal struct SignalSet
{
    [FieldOffset(0)] internal ulong Signals;
}
