using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device;

/// <summary>One virtual machine: what the calls on a VM fd do. Every call throws <see cref="KvmException"/> when the kernel says no.</summary>
public interface IVm : IDisposable
{
    /// <summary>KVM_CHECK_EXTENSION on the VM.</summary>
    /// <param name="capability">A KVM_CAP_* number, see <see cref="KvmCapability"/>.</param>
    int CheckExtension(uint capability);

    /// <summary>KVM_ENABLE_CAP on the VM.</summary>
    void EnableCapability(EnabledCapability capability);

    /// <summary>KVM_SET_USER_MEMORY_REGION with fresh zeroed memory behind every region.</summary>
    /// <param name="regions">The slots; page aligned, not overlapping.</param>
    /// <returns>The memory, which belongs to the caller and must outlive the VM.</returns>
    IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions);

    /// <summary>Switches the dirty log of one slot on or off (KVM_MEM_LOG_DIRTY_PAGES).</summary>
    /// <param name="slot">The slot's number.</param>
    /// <param name="on">Whether writes by vCPUs are logged.</param>
    void SetDirtyLogging(uint slot, bool on);

    /// <summary>
    /// KVM_GET_DIRTY_LOG: the pages that vCPUs have written. Once KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is enabled it leaves them in the log,
    /// otherwise it takes them.
    /// </summary>
    /// <param name="slot">The number of a slot whose log is on.</param>
    /// <param name="bitmap">One bit a page for all pages of the slot, in whole words.</param>
    void GetDirtyLog(uint slot, Span<ulong> bitmap);

    /// <summary>KVM_CLEAR_DIRTY_LOG, with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 enabled: from here on writes to these pages are logged again.</summary>
    /// <param name="slot">The slot's number.</param>
    /// <param name="firstPage">The first page, a multiple of 64.</param>
    /// <param name="pages">How many pages: a multiple of 64, or up to the end of the slot.</param>
    /// <param name="bitmap">One bit a page from the first page on.</param>
    void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap);

    /// <summary>KVM_SET_TSS_ADDR (x86).</summary>
    void SetTssAddress(ulong guestAddress);

    /// <summary>KVM_SET_IDENTITY_MAP_ADDR (x86); before the first vCPU.</summary>
    void SetIdentityMapAddress(ulong guestAddress);

    /// <summary>KVM_CREATE_IRQCHIP; before the first vCPU.</summary>
    void CreateIrqchip();

    /// <summary>KVM_CREATE_PIT2 (x86); needs the full interrupt chip.</summary>
    void CreatePit();

    /// <summary>KVM_SET_GSI_ROUTING.</summary>
    /// <param name="entries">Entries of struct kvm_irq_routing_entry, 48 bytes each.</param>
    void SetGsiRouting(ReadOnlySpan<byte> entries);

    /// <summary>
    /// A request that fills a struct of fixed size, such as KVM_GET_CLOCK; also those whose struct says what is asked for
    /// (KVM_GET_IRQCHIP by its chip_id).
    /// </summary>
    /// <param name="request">One of the VM group of the request table.</param>
    /// <param name="argument">The struct, exactly <see cref="KvmRequest.ArgumentSize"/> bytes.</param>
    void Get(KvmRequest request, Span<byte> argument);

    /// <summary>A request that takes a struct of fixed size, such as KVM_SET_CLOCK.</summary>
    /// <param name="request">One of the VM group of the request table.</param>
    /// <param name="argument">The struct, exactly <see cref="KvmRequest.ArgumentSize"/> bytes.</param>
    void Set(KvmRequest request, ReadOnlySpan<byte> argument);

    /// <summary>KVM_CREATE_DEVICE.</summary>
    /// <param name="type">A KVM_DEV_TYPE_* number, such as KVM_DEV_TYPE_ARM_VGIC_V3 (7).</param>
    /// <returns>The device, which belongs to the caller.</returns>
    /// <exception cref="KvmException">ENODEV: this kernel has no such device; EEXIST: the VM has it already.</exception>
    IKvmDevice CreateDevice(uint type);

    /// <summary>KVM_CREATE_VCPU.</summary>
    /// <param name="id">The kernel's vCPU id; on x86 also the APIC id.</param>
    /// <param name="index">The vCPU's place in the machine's order, from 0: what messages call it by.</param>
    IVcpu CreateVcpu(uint id, int index);
}
