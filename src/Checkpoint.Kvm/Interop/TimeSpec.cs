using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

// struct timespec on 64-bit machines.
[StructLayout(LayoutKind.Sequential)]
internal struct TimeSpec
{
    internal long Seconds;
    internal long Nanoseconds;
}
