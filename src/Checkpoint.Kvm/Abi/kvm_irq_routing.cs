using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_SET_GSI_ROUTING: nr of struct kvm_irq_routing_entry follow.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_routing
{
    internal uint nr;
    internal uint flags;
}
