using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated.Arm64;
using Checkpoint.Kvm.Device.Simulated.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// A simulated virtual machine. Disposing of it forbids further calls on it; vCPUs go on until they are disposed of, as with
/// the fds of KVM.
/// </summary>
public sealed class SimulatedVm : IVm
{
    private const ulong FirstAddressBeyond = 1UL << 48;
    private const uint MaxVcpuIds = 4096; // KVM_MAX_VCPU_IDS
    private const uint GicV3DeviceType = 7; // KVM_DEV_TYPE_ARM_VGIC_V3

    private const ulong LogIsClearedByHand = 1; // KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
    private const ulong LogBeginsFull = 2; // KVM_DIRTY_LOG_INITIALLY_SET

    private readonly object _gate = new();
    private readonly List<SimulatedVcpu> _vcpus = [];
    private ulong _dirtyLogFlags;
    private bool _isDisposed;

    internal SimulatedVm(SimulatedKvm kvm)
    {
        Kvm = kvm;
        Slots = new SimulatedSlots(FirstAddressBeyond);
        Chips = new X64Chips(this);
    }

    internal SimulatedKvm Kvm { get; }

    internal SimulatedSlots Slots { get; }

    internal X64Chips Chips { get; }

    /// <summary>Whether a batch that fails says how many registers it did (KVM_CAP_MANY_REGS was enabled).</summary>
    internal bool CountsManyRegs { get; private set; }

    /// <summary>Whether KVM_SET_VCPU_EVENTS carries exception payloads (KVM_CAP_EXCEPTION_PAYLOAD was enabled).</summary>
    internal bool HasExceptionPayload { get; private set; }

    /// <summary>Whether KVM_SET_VCPU_EVENTS carries triple faults (KVM_CAP_X86_TRIPLE_FAULT_EVENT was enabled).</summary>
    internal bool HasTripleFaultEvent { get; private set; }

    /// <summary>Whether any vCPU has entered KVM_RUN: from then on what its guests may call is settled (arm64).</summary>
    internal bool HasRun { get; set; }

    /// <summary>What the VM's virtual and physical counters (arm64) are behind its time; one for all vCPUs, since Linux 6.4.</summary>
    internal (ulong Virtual, ulong Physical) CounterOffsets { get; set; }

    /// <summary>The features of the VM's vCPUs (arm64), which are the same for all; null before the first is initialised.</summary>
    internal uint? ArmFeatures { get; set; }

    /// <summary>Nanoseconds since the VM was made; one for each instruction of the vCPU that has executed most.</summary>
    internal ulong NowNs
    {
        get
        {
            lock (_gate)
            {
                var most = 0UL;
                foreach (var vcpu in _vcpus)
                    most = Math.Max(most, vcpu.ExecutedInstructions);
                return most;
            }
        }
    }

    /// <summary>What the host's TSC counts now (x86).</summary>
    internal ulong HostTsc => Kvm.Options.HostTscAtStart + (ulong)(((UInt128)NowNs * Kvm.Options.TscKhz) / 1_000_000);

    /// <summary>Whether there is a GICv3 in the kernel (arm64).</summary>
    internal bool HasGic { get; private set; }

    /// <summary>Whether the GIC was initialised (arm64): no vCPU comes after that.</summary>
    internal bool HasAllVcpus { get; set; }

    internal bool HasVcpus => _vcpus.Count > 0;

    /// <summary>The ids of the vCPUs, in the order of their creation.</summary>
    internal IReadOnlyList<uint> VcpuIds => [.. _vcpus.Select(vcpu => vcpu.Id)];

    /// <inheritdoc/>
    public int CheckExtension(uint capability)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return Kvm.CheckExtension(capability);
    }

    /// <inheritdoc/>
    public void EnableCapability(EnabledCapability capability)
    {
        ArgumentNullException.ThrowIfNull(capability);
        if (capability.Arguments.Length > 4)
            throw new ArgumentException("KVM_ENABLE_CAP has four argument words.", nameof(capability));
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Check(KvmRequests.EnableCap, TryEnable(capability));
    }

    /// <inheritdoc cref="IVm.CreateMemory"/>
    public SimulatedMemory CreateMemory(IReadOnlyList<MemoryRegion> regions)
    {
        var memory = SimulatedMemory.Create(regions, Slots);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        foreach (var slot in memory.Slots)
            Check(KvmRequests.SetUserMemoryRegion, Slots.Add(slot));
        return memory;
    }

    IGuestMemory IVm.CreateMemory(IReadOnlyList<MemoryRegion> regions) => CreateMemory(regions);

    /// <inheritdoc/>
    public void SetDirtyLogging(uint slot, bool on) => Slots.SetLogging(slot, on, isFull: (_dirtyLogFlags & LogBeginsFull) != 0);

    /// <inheritdoc/>
    public void GetDirtyLog(uint slot, Span<ulong> bitmap)
    {
        var known = Slots.Known(slot);
        if (bitmap.Length < known.BitmapWords)
            throw new ArgumentException($"The bitmap has {bitmap.Length} words, too few for {known.BitmapWords * 64L} pages.", nameof(bitmap));
        if (!Slots.IsLogged(slot))
            SimulatedKvm.Throw(KvmRequests.GetDirtyLog, Errno.ENOENT);
        if ((_dirtyLogFlags & LogIsClearedByHand) != 0)
            known.ReadDirty(bitmap);
        else
            known.TakeDirty(bitmap);
    }

    /// <inheritdoc/>
    public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap)
    {
        var known = Slots.Known(slot);
        var all = known.Region.SizeBytes / MemoryRegion.PageBytes;
        if (bitmap.Length < (int)((pages + 63) / 64))
            throw new ArgumentException($"The bitmap has {bitmap.Length} words, too few for {pages} pages.", nameof(bitmap));
        if (!Slots.IsLogged(slot))
            SimulatedKvm.Throw(KvmRequests.ClearDirtyLog, Errno.ENOENT);
        var isWhole = firstPage % 64 == 0 && firstPage + pages <= all && (pages % 64 == 0 || firstPage + pages == all);
        Check(KvmRequests.ClearDirtyLog, (_dirtyLogFlags & LogIsClearedByHand) != 0 && isWhole ? 0 : Errno.EINVAL);
        for (var word = 0; word < (int)((pages + 63) / 64); word++)
            known.ClearDirty((int)(firstPage / 64) + word, bitmap[word]);
    }

    /// <inheritdoc/>
    public void SetTssAddress(ulong guestAddress)
    {
        // Three pages below 4 GiB.
        const ulong pages = 3 * 4096;
        RequireX64(KvmRequests.SetTssAddress);
        Check(KvmRequests.SetTssAddress, guestAddress > uint.MaxValue - pages + 1 ? Errno.EINVAL : 0);
    }

    /// <inheritdoc/>
    public void SetIdentityMapAddress(ulong guestAddress)
    {
        RequireX64(KvmRequests.SetIdentityMapAddress);
        Check(KvmRequests.SetIdentityMapAddress, HasVcpus ? Errno.EINVAL : 0);
    }

    /// <inheritdoc/>
    public void CreateIrqchip()
    {
        // The GICv3 of arm64 is a device of its own.
        RequireX64(KvmRequests.CreateIrqchip);
        Check(KvmRequests.CreateIrqchip, Chips.CreateAll());
    }

    /// <inheritdoc/>
    public void CreatePit()
    {
        RequireX64(KvmRequests.CreatePit2);
        Check(KvmRequests.CreatePit2, Chips.CreatePit());
    }

    /// <inheritdoc/>
    public void SetGsiRouting(ReadOnlySpan<byte> entries)
    {
        const int entryBytes = 48;
        if (entries.Length % entryBytes != 0)
            throw new ArgumentException($"Routes have {entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        RequireX64(KvmRequests.SetGsiRouting);
        Check(KvmRequests.SetGsiRouting, Chips.SetRoutes(entries, entryBytes));
    }

    /// <inheritdoc/>
    public void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Check(request, IsX64 ? Chips.Get(request, argument) : PreferArmTarget(request, argument));
    }

    /// <inheritdoc/>
    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Check(request, IsX64 ? Chips.Set(request, argument) : Errno.ENOTTY);
    }

    /// <inheritdoc/>
    public IKvmDevice CreateDevice(uint type)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var errno = IsX64 || type != GicV3DeviceType ? Errno.ENODEV : HasGic ? Errno.EEXIST : HasRun ? Errno.EBUSY : 0;
        Check(KvmRequests.CreateDevice, errno);
        HasGic = true;
        return new SimulatedGicV3(this);
    }

    /// <inheritdoc cref="IVm.CreateVcpu"/>
    public SimulatedVcpu CreateVcpu(uint id, int index)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        lock (_gate)
        {
            var errno = id >= MaxVcpuIds || _vcpus.Count >= Kvm.Options.MaxVcpus ? Errno.EINVAL
                : HasAllVcpus ? Errno.EBUSY
                : _vcpus.Exists(vcpu => vcpu.Id == id) ? Errno.EEXIST
                : 0;
            if (errno != 0)
                SimulatedKvm.Throw(KvmRequests.CreateVcpu, errno, index);
            SimulatedVcpu vcpu = IsX64 ? new SimulatedX64Vcpu(this, id, index) : new SimulatedArm64Vcpu(this, id, index);
            _vcpus.Add(vcpu);
            return vcpu;
        }
    }

    IVcpu IVm.CreateVcpu(uint id, int index) => CreateVcpu(id, index);

    /// <inheritdoc/>
    public void Dispose() => _isDisposed = true;

    private bool IsX64 => Kvm.Options.Architecture == MachineArchitecture.X64;

    private static void Check(in KvmRequest request, int errno)
    {
        if (errno != 0)
            SimulatedKvm.Throw(request, errno);
    }

    private static int PreferArmTarget(in KvmRequest request, Span<byte> argument)
    {
        if (request.Code != KvmRequests.ArmPreferredTarget.Code)
            return Errno.ENOTTY;
        argument.Clear();
        argument[0] = SimulatedArm64Vcpu.GenericTarget;
        return 0;
    }

    private int TryEnable(EnabledCapability capability)
    {
        // On real kernels, too, an unknown capability and an unknown flag are the same error.
        if (capability.Flags != 0 || Kvm.CheckExtension(capability.Capability) == 0)
            return Errno.EINVAL;
        var first = capability.Arguments.IsDefaultOrEmpty ? 0 : capability.Arguments[0];
        switch (capability.Capability)
        {
            case KvmCapability.SplitIrqchip:
                return Chips.CreateSplit(first);
            case KvmCapability.ExceptionPayload:
                HasExceptionPayload = first != 0;
                return 0;
            case KvmCapability.X86TripleFaultEvent:
                HasTripleFaultEvent = first != 0;
                return 0;
            case KvmCapability.X2ApicApi:
                return (first & ~3UL) == 0 ? 0 : Errno.EINVAL;
            case KvmCapability.ManyRegs:
                CountsManyRegs = first == 1;
                return first <= 1 ? 0 : Errno.EINVAL;
            case KvmCapability.ManualDirtyLogProtect2:
                // The second flag means nothing without the first.
                if ((first & ~(LogIsClearedByHand | LogBeginsFull)) != 0 || first == LogBeginsFull)
                    return Errno.EINVAL;
                _dirtyLogFlags = first;
                return 0;
            default:
                return Errno.EINVAL;
        }
    }

    private void RequireX64(in KvmRequest request)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (!IsX64)
            SimulatedKvm.Throw(request, Errno.ENOTTY);
    }
}
