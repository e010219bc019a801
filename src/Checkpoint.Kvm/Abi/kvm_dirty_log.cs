using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_DIRTY_LOG; dirty_bitmap is the address of one bit a page, rounded up to 64.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_dirty_log
{
    internal uint slot;
    internal uint padding1;
    internal ulong dirty_bitmap;
}
