using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// The IOAPIC, the chip of struct kvm_irqchip for chip_id 2.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_ioapic_state
{
    internal ulong base_address;
    internal uint ioregsel;
    internal uint id;
    internal uint irr;
    internal uint pad;
    internal fixed ulong redirtbl[24];
}
