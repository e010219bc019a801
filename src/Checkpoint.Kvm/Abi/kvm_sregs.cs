using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_SREGS and KVM_SET_SREGS: without the PDPTRs of PAE paging.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_sregs
{
    internal kvm_segment cs;
    internal kvm_segment ds;
    internal kvm_segment es;
    internal kvm_segment fs;
    internal kvm_segment gs;
    internal kvm_segment ss;
    internal kvm_segment tr;
    internal kvm_segment ldt;
    internal kvm_dtable gdt;
    internal kvm_dtable idt;
    internal ulong cr0;
    internal ulong cr2;
    internal ulong cr3;
    internal ulong cr4;
    internal ulong cr8;
    internal ulong efer;
    internal ulong apic_base;
    internal fixed ulong interrupt_bitmap[4];
}
