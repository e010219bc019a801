using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_IRQ_LINE.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_level
{
    internal uint irq;
    internal uint level;
}
