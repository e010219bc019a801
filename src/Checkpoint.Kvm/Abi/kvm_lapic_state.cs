using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_LAPIC and KVM_SET_LAPIC: the register page of the local APIC.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_lapic_state
{
    internal fixed byte regs[1024];
}
