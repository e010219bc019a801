using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_SIGNAL_MSI.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_msi
{
    internal uint address_lo;
    internal uint address_hi;
    internal uint data;
    internal uint flags;
    internal uint devid;
    internal fixed byte pad[12];
}
