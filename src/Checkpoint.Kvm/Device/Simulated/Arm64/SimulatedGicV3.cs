using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>
/// A GICv3 that keeps its state and gives it back by the kernel's rules; it signals nothing, as no guest here takes interrupts.
/// </summary>
internal sealed class SimulatedGicV3 : IKvmDevice
{
    private const uint Addresses = 0; // KVM_DEV_ARM_VGIC_GRP_ADDR
    private const uint InterruptCount = 3; // KVM_DEV_ARM_VGIC_GRP_NR_IRQS
    private const uint Orders = 4; // KVM_DEV_ARM_VGIC_GRP_CTRL
    private const ulong LastOrder = 3; // KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES
    private const ulong Unset = ulong.MaxValue;
    private const uint DefaultInterrupts = 256;
    private const ulong AddressAlignment = 0xffff;
    private const ulong FirstAddressBeyond = 1UL << 40;

    private readonly SimulatedVm _vm;
    private readonly ulong[] _addresses = [Unset, Unset];
    private Dictionary<ulong, GicFile>? _files;
    private GicFile? _distributor;
    private uint _interrupts;
    private bool _isDisposed;

    internal SimulatedGicV3(SimulatedVm vm) => _vm = vm;

    public bool HasAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        return group switch
        {
            Addresses => attribute is 2 or 3,
            InterruptCount => true,
            Orders => attribute is 0 or LastOrder,
            (uint)GicPart.Level => ((uint)attribute >> 10) == 0,
            _ => Enum.IsDefined((GicPart)group) && Find((GicPart)group, attribute, out var file, out var offset) == 0 && file.Has((GicPart)group, offset),
        };
    }

    public ulong GetAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        var value = 0UL;
        Check(KvmRequests.GetDeviceAttr, Get(group, attribute, ref value));
        return value;
    }

    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        ThrowIfDisposed();
        Check(KvmRequests.SetDeviceAttr, Set(group, attribute, value));
    }

    public void Dispose() => _isDisposed = true;

    private static void Check(in KvmRequest request, int errno)
    {
        if (errno != 0)
            SimulatedKvm.Throw(request, errno);
    }

    private int Get(uint group, ulong attribute, ref ulong value)
    {
        switch (group)
        {
            case Addresses when attribute is 2 or 3:
                value = _addresses[attribute - 2];
                return 0;
            case InterruptCount:
                value = _interrupts == 0 ? DefaultInterrupts : _interrupts;
                return 0;
            case Orders or Addresses:
                return Errno.ENXIO;
        }

        var errno = Find((GicPart)group, attribute, out var file, out var offset);
        return errno != 0 ? errno : file.Read((GicPart)group, offset, out value);
    }

    private int Set(uint group, ulong attribute, ulong value)
    {
        switch (group)
        {
            case Addresses when attribute is 2 or 3:
                return SetAddress((int)attribute - 2, value);
            case InterruptCount:
                return SetInterrupts((uint)value);
            case Orders when attribute is 0:
                return Start();
            case Orders when attribute is LastOrder:
                return _files is null ? Errno.ENXIO : 0;
            case Orders or Addresses:
                return Errno.ENXIO;
        }

        var errno = Find((GicPart)group, attribute, out var file, out var offset);
        return errno != 0 ? errno : file.Write((GicPart)group, offset, value);
    }

    private int SetAddress(int which, ulong address)
    {
        if (_addresses[which] != Unset)
            return Errno.EEXIST;
        if ((address & AddressAlignment) != 0)
            return Errno.EINVAL;
        if (address >= FirstAddressBeyond)
            return Errno.E2BIG;
        _addresses[which] = address;
        return 0;
    }

    private int SetInterrupts(uint count)
    {
        if (count is < 64 or > 1023 || count % 32 != 0)
            return Errno.EINVAL;
        if (_interrupts != 0 || _files is not null)
            return Errno.EBUSY;
        _interrupts = count;
        return 0;
    }

    private int Start()
    {
        if (_files is not null)
            return 0;
        _interrupts = _interrupts == 0 ? DefaultInterrupts : _interrupts;
        _distributor = GicFile.OfDistributor(_interrupts);
        _files = [];
        _vm.HasAllVcpus = true;
        var vcpus = _vm.VcpuIds;
        for (var i = 0; i < vcpus.Count; i++)
            _files[Arm64SystemState.AffinityOf(vcpus[i])] = GicFile.OfVcpu(i, Arm64SystemState.AffinityOf(vcpus[i]), isLast: i == vcpus.Count - 1);
        return 0;
    }

    // EINVAL for a vCPU that is not there, EBUSY before the device is initialised: in this order.
    private int Find(GicPart part, ulong attribute, out GicFile file, out uint offset)
    {
        offset = part == GicPart.CpuInterface ? (ushort)attribute : (uint)attribute;
        file = null!;
        if (!Enum.IsDefined(part))
            return Errno.ENXIO;
        if (_files is null)
            return Errno.EBUSY;
        var isShared = part == GicPart.Distributor || (part == GicPart.Level && offset >= 32);
        if (isShared)
            file = _distributor!;
        else if (!_files.TryGetValue(attribute >> 32, out file!))
            return Errno.EINVAL;
        return 0;
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);
}
