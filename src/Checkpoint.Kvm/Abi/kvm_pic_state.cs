using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One 8259, the chip of struct kvm_irqchip for chip_id 0 and 1.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_pic_state
{
    internal byte last_irr;
    internal byte irr;
    internal byte imr;
    internal byte isr;
    internal byte priority_add;
    internal byte irq_base;
    internal byte read_reg_select;
    internal byte poll;
    internal byte special_mask;
    internal byte init_state;
    internal byte auto_eoi;
    internal byte rotate_on_auto_eoi;
    internal byte special_fully_nested_mode;
    internal byte init4;
    internal byte elcr;
    internal byte elcr_mask;
}
