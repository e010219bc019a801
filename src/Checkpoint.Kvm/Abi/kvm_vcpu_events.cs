using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS on x86; the nested structs of the header are flattened, their names joined.
// The struct of arm64 has the same size, so the request codes are the same.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_vcpu_events
{
    internal byte exception_injected;
    internal byte exception_nr;
    internal byte exception_has_error_code;
    internal byte exception_pending;
    internal uint exception_error_code;
    internal byte interrupt_injected;
    internal byte interrupt_nr;
    internal byte interrupt_soft;
    internal byte interrupt_shadow;
    internal byte nmi_injected;
    internal byte nmi_pending;
    internal byte nmi_masked;
    internal byte nmi_pad;
    internal uint sipi_vector;
    internal uint flags;
    internal byte smi_smm;
    internal byte smi_pending;
    internal byte smi_smm_inside_nmi;
    internal byte smi_latched_init;
    internal byte triple_fault_pending;
    internal fixed byte reserved[26];
    internal byte exception_has_payload;
    internal ulong exception_payload;
}
