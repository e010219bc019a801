using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_SREGS2 and KVM_SET_SREGS2: with the PDPTRs, without the interrupt bitmap (which the vCPU events carry).
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_sregs2
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
    internal ulong flags;
    internal fixed ulong pdptrs[4];
}
