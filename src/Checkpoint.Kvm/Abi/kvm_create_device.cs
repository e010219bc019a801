using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_CREATE_DEVICE; fd is filled in by the kernel.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_create_device
{
    internal uint type;
    internal uint fd;
    internal uint flags;
}
