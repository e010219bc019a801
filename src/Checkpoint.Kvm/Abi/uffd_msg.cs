using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// What a userfaultfd is read for: 32 bytes, of which a page fault uses flags and address.
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct uffd_msg
{
    [FieldOffset(0)] internal byte @event;
    [FieldOffset(8)] internal ulong pagefault_flags;
    [FieldOffset(16)] internal ulong pagefault_address;
}
