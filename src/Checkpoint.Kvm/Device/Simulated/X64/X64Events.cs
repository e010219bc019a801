using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>Exceptions, interrupts and NMIs under way: struct kvm_vcpu_events and its rules.</summary>
internal sealed class X64Events
{
    private const uint HasNmiPending = 1;
    private const uint HasSipiVector = 2;
    private const uint HasShadow = 4;
    private const uint HasSmm = 8;
    private const uint HasPayload = 16;
    private const uint HasTripleFault = 32;
    private const byte LastException = 31;
    private const byte NmiVector = 2;

    private kvm_vcpu_events _events;

    /// <summary>The vector of the SIPI that mp_state 4 (KVM_MP_STATE_SIPI_RECEIVED) delivers.</summary>
    public uint SipiVector => _events.sipi_vector;

    public bool HasTripleFaultPending
    {
        get => _events.triple_fault_pending != 0;
        set => _events.triple_fault_pending = value ? (byte)1 : (byte)0;
    }

    /// <summary>The external interrupt that is being delivered; null where there is none.</summary>
    public byte? Interrupt
    {
        get => _events.interrupt_injected != 0 && _events.interrupt_soft == 0 ? _events.interrupt_nr : null;
        set => (_events.interrupt_injected, _events.interrupt_nr, _events.interrupt_soft) = (1, value.GetValueOrDefault(), 0);
    }

    /// <summary>KVM_SET_REGS: an exception that is not yet being delivered is forgotten.</summary>
    public void ForgetPendingException() =>
        (_events.exception_pending, _events.exception_has_payload) = (0, 0);

    public kvm_vcpu_events Get(SimulatedVm vm)
    {
        var events = _events;
        events.flags = HasNmiPending | HasShadow | HasSmm;
        events.sipi_vector = 0; // KVM takes it and never tells it.
        if (vm.HasExceptionPayload)
        {
            events.flags |= HasPayload;
        }
        else
        {
            // Without payloads one bit means both; the other is there as well and means nothing (Linux 6.18).
            events.exception_injected |= events.exception_pending;
            (events.exception_has_payload, events.exception_payload) = (0, 0);
        }

        if (vm.HasTripleFaultEvent)
            events.flags |= HasTripleFault;
        else
            events.triple_fault_pending = 0;
        return events;
    }

    /// <summary>KVM_SET_VCPU_EVENTS.</summary>
    /// <returns>The error number.</returns>
    public int Set(kvm_vcpu_events wanted, SimulatedVm vm)
    {
        var known = HasNmiPending | HasSipiVector | HasShadow | HasSmm
            | (vm.HasExceptionPayload ? HasPayload : 0) | (vm.HasTripleFaultEvent ? HasTripleFault : 0);
        if ((wanted.flags & ~known) != 0)
            return Errno.EINVAL;
        if ((wanted.flags & HasPayload) == 0)
            wanted.exception_pending = 0;
        // An exception is either pending or being delivered; only one that is pending has a payload.
        if (wanted.exception_pending != 0)
            wanted.exception_injected = 0;
        else
            (wanted.exception_has_payload, wanted.exception_payload) = (0, 0);
        var hasException = wanted.exception_injected != 0 || wanted.exception_pending != 0;
        if (hasException && wanted.exception_nr is > LastException or NmiVector)
            return Errno.EINVAL;
        // There is no system management mode here (KVM_CAP_X86_SMM).
        if ((wanted.flags & HasSmm) != 0 && (wanted.smi_smm | wanted.smi_pending) != 0)
            return Errno.EINVAL;

        if ((wanted.flags & HasNmiPending) == 0)
            wanted.nmi_pending = _events.nmi_pending;
        if ((wanted.flags & HasShadow) == 0)
            wanted.interrupt_shadow = _events.interrupt_shadow;
        if ((wanted.flags & HasSipiVector) == 0)
            wanted.sipi_vector = _events.sipi_vector;
        if ((wanted.flags & HasTripleFault) == 0)
            wanted.triple_fault_pending = _events.triple_fault_pending;
        (wanted.nmi_pad, wanted.smi_smm, wanted.smi_pending, wanted.smi_smm_inside_nmi, wanted.smi_latched_init) = (0, 0, 0, 0, 0);
        _events = wanted;
        return 0;
    }
}
