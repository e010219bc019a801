using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One route, part of struct kvm_irq_routing; what u means depends on the type.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_irq_routing_entry
{
    internal uint gsi;
    internal uint type;
    internal uint flags;
    internal uint pad;
    internal fixed uint u[8];
}
