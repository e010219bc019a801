using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_CLEAR_DIRTY_LOG; first_page is a multiple of 64.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_clear_dirty_log
{
    internal uint slot;
    internal uint num_pages;
    internal ulong first_page;
    internal ulong dirty_bitmap;
}
