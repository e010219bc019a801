namespace Checkpoint.Kvm.Device;

/// <summary>
/// One vCPU: what the calls on a vCPU fd do. It is driven by one thread at a time, the one that called
/// <see cref="BindToCurrentThread"/>; only <see cref="Kick"/> may be called from others. Every call throws
/// <see cref="KvmException"/> when the kernel says no.
/// </summary>
public interface IVcpu : IDisposable
{
    /// <summary>The vCPU's place in the machine's order, from 0.</summary>
    int Index { get; }

    /// <summary>KVM_CHECK_EXTENSION, as the vCPU's VM answers it.</summary>
    int CheckExtension(uint capability);

    /// <summary>A request that fills a struct, such as KVM_GET_REGS.</summary>
    /// <param name="request">One of the vCPU group of the request table.</param>
    /// <param name="argument">
    /// The struct: at least <see cref="KvmRequest.ArgumentSize"/> bytes, more where a capability says so (KVM_GET_XSAVE2).
    /// </param>
    void Get(KvmRequest request, Span<byte> argument);

    /// <summary>A request that takes a struct, such as KVM_SET_REGS.</summary>
    /// <param name="request">One of the vCPU group of the request table.</param>
    /// <param name="argument">The struct: at least <see cref="KvmRequest.ArgumentSize"/> bytes.</param>
    void Set(KvmRequest request, ReadOnlySpan<byte> argument);

    /// <summary>A request whose argument and result are plain numbers, such as KVM_GET_TSC_KHZ, KVM_SET_TSC_KHZ, KVM_KVMCLOCK_CTRL.</summary>
    /// <returns>What the call returned.</returns>
    long Call(KvmRequest request, ulong argument);

    /// <summary>KVM_GET_MSRS (x86).</summary>
    /// <param name="msrs">struct kvm_msrs in the kernel's layout, its count and indices filled in; at most 255 entries, the kernel answers E2BIG to 256.</param>
    /// <returns>How many were read: the call stops at the first that is refused.</returns>
    int GetMsrs(Span<byte> msrs);

    /// <summary>KVM_SET_MSRS (x86).</summary>
    /// <param name="msrs">struct kvm_msrs in the kernel's layout; at most 255 entries, the kernel answers E2BIG to 256.</param>
    /// <returns>How many were written: the call stops at the first that is refused, those before it are changed.</returns>
    int SetMsrs(ReadOnlySpan<byte> msrs);

    /// <summary>KVM_GET_CPUID2 (x86): entries of 40 bytes, struct kvm_cpuid_entry2.</summary>
    ReadOnlyMemory<byte> GetCpuid();

    /// <summary>KVM_SET_CPUID2 (x86); before the first KVM_RUN.</summary>
    /// <param name="entries">Entries of 40 bytes.</param>
    void SetCpuid(ReadOnlySpan<byte> entries);

    /// <summary>KVM_GET_ONE_REG.</summary>
    /// <param name="id">The kernel's id; its bits 52 to 55 are log2 of the size in bytes.</param>
    /// <param name="value">Exactly as many bytes as the id says.</param>
    void GetOneReg(ulong id, Span<byte> value);

    /// <summary>KVM_SET_ONE_REG.</summary>
    void SetOneReg(ulong id, ReadOnlySpan<byte> value);

    /// <summary>KVM_GET_REG_LIST: all ids that the vCPU has.</summary>
    ulong[] GetRegList();

    /// <summary>KVM_GET_MANY_REGS: all registers of the batch in one call, in array order.</summary>
    /// <returns>
    /// 0, or the error number. The call as it was proposed does not say which register failed; <see cref="RegisterBatch.Done"/>
    /// holds the count of a kernel that does.
    /// </returns>
    int GetManyRegs(RegisterBatch batch);

    /// <summary>KVM_SET_MANY_REGS.</summary>
    /// <returns>0, or the error number: registers before the refused one are changed.</returns>
    int SetManyRegs(RegisterBatch batch);

    /// <summary>KVM_HAS_DEVICE_ATTR on the vCPU, such as KVM_VCPU_TSC_OFFSET (Documentation/virt/kvm/devices/vcpu.rst).</summary>
    /// <param name="group">The attribute's group, such as KVM_VCPU_TSC_CTRL (0).</param>
    /// <param name="attribute">The attribute in the group, such as KVM_VCPU_TSC_OFFSET (0).</param>
    bool HasAttribute(uint group, ulong attribute);

    /// <summary>KVM_GET_DEVICE_ATTR on the vCPU.</summary>
    /// <returns>The value; of attributes with fewer than eight bytes the rest is zero.</returns>
    ulong GetAttribute(uint group, ulong attribute);

    /// <summary>KVM_SET_DEVICE_ATTR on the vCPU.</summary>
    void SetAttribute(uint group, ulong attribute, ulong value);

    /// <summary>
    /// KVM_CAP_SYNC_REGS (x86): general registers, special registers and events in one call instead of three. It is a KVM_RUN
    /// with immediate_exit and kvm_valid_regs, which does not enter the guest, on the thread that is bound.
    /// </summary>
    /// <param name="regs">struct kvm_regs, 144 bytes.</param>
    /// <param name="sregs">struct kvm_sregs, 312 bytes.</param>
    /// <param name="events">struct kvm_vcpu_events, 64 bytes.</param>
    /// <returns>False, and nothing was called, on a vCPU that has not run before or has an exit that is not finished.</returns>
    bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events);

    /// <summary>
    /// Makes the calling thread the one that runs this vCPU: its kick signal is blocked and KVM_RUN is told to open it
    /// (KVM_SET_SIGNAL_MASK), so that a kick that comes at any moment ends the current KVM_RUN or the next one.
    /// </summary>
    void BindToCurrentThread();

    /// <summary>Gives the thread up: <see cref="Kick"/> does nothing from here on.</summary>
    void Unbind();

    /// <summary>kvm_run.immediate_exit: while true, <see cref="Run"/> finishes pending IO and returns <see cref="VcpuExitReason.Interrupted"/>.</summary>
    bool ImmediateExit { get; set; }

    /// <summary>KVM_RUN.</summary>
    /// <returns>The exit; <see cref="VcpuExitReason.Interrupted"/> for EINTR, after which the kick has been consumed.</returns>
    /// <exception cref="GuestMemoryException">Memory that was to come in when it is touched does not come; the vCPU cannot run any more.</exception>
    VcpuExit Run();

    /// <summary>Ends the current KVM_RUN, or the next one if none is under way. From any thread; does nothing while no thread is bound.</summary>
    void Kick();
}
