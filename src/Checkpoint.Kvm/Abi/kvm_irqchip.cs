using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_IRQCHIP and KVM_SET_IRQCHIP: chip_id says which chip, and the bytes are struct kvm_pic_state or kvm_ioapic_state.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_irqchip
{
    internal uint chip_id;
    internal uint pad;
    internal fixed byte chip[512];
}
