using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>
/// The GICv3 of a VM: distributor, redistributors and the vCPUs' interfaces, through the attributes of its device
/// (Documentation/virt/kvm/devices/arm-vgic-v3.rst). There is no ITS, so there are no LPIs.
/// </summary>
internal sealed class Arm64Gic : IDisposable
{
    /// <summary>KVM_DEV_TYPE_ARM_VGIC_V3.</summary>
    internal const uint DeviceType = 7;

    private const uint Addresses = 0; // KVM_DEV_ARM_VGIC_GRP_ADDR
    private const uint InterruptCount = 3; // KVM_DEV_ARM_VGIC_GRP_NR_IRQS
    private const uint Orders = 4; // KVM_DEV_ARM_VGIC_GRP_CTRL
    private const ulong DistributorAddress = 2; // KVM_VGIC_V3_ADDR_TYPE_DIST
    private const ulong RedistributorAddress = 3; // KVM_VGIC_V3_ADDR_TYPE_REDIST
    private const ulong Initialise = 0; // KVM_DEV_ARM_VGIC_CTRL_INIT
    private const ulong SavePendingTables = 3; // KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES
    private const int MaxAttempts = 100_000;

    private readonly IKvmDevice _device;
    private Arm64GicPlan? _plan;
    private ulong[] _values = [];

    private Arm64Gic(IKvmDevice device) => _device = device;

    /// <summary>
    /// Makes the device, before the first vCPU is initialised: whether there is a GIC is part of what a vCPU's identification
    /// registers tell.
    /// </summary>
    public static Arm64Gic Create(IVm vm, GicDescription description)
    {
        var gic = new Arm64Gic(vm.CreateDevice(DeviceType));
        try
        {
            gic._device.SetAttribute(InterruptCount, 0, description.Interrupts);
            gic._device.SetAttribute(Addresses, DistributorAddress, description.DistributorAddress);
            gic._device.SetAttribute(Addresses, RedistributorAddress, description.RedistributorAddress);
            return gic;
        }
        catch
        {
            gic.Dispose();
            throw;
        }
    }

    /// <summary>Takes the GIC of a machine that its owner has built and initialised.</summary>
    public static Arm64Gic Adopt(IKvmDevice device, GicDescription description, IReadOnlyList<IVcpu> vcpus)
    {
        var found = new GicDescription(
            device.GetAttribute(Addresses, DistributorAddress), device.GetAttribute(Addresses, RedistributorAddress), (uint)device.GetAttribute(InterruptCount, 0));
        if (found != description)
            throw new ArgumentException($"The GICv3 is not as described: {found}.", nameof(description));
        var gic = new Arm64Gic(device);
        gic.Complete(description, vcpus);
        return gic;
    }

    /// <summary>Initialises the device, after all vCPUs have been made; before that it has no registers (EBUSY).</summary>
    public void Start(GicDescription description, IReadOnlyList<IVcpu> vcpus)
    {
        _device.SetAttribute(Orders, Initialise, 0);
        Complete(description, vcpus);
    }

    /// <summary>
    /// Reads everything while all vCPUs are parked. It comes before guest memory is copied: pending LPIs are kept in tables
    /// there, which the kernel brings up to date on order alone. It allocates nothing.
    /// </summary>
    public void Capture()
    {
        Set(Orders, SavePendingTables, 0);
        var registers = _plan!.Registers;
        for (var i = 0; i < registers.Length; i++)
            _values[i] = Get((uint)registers[i].Part, _plan.Attributes[i]);
    }

    /// <summary>What the last <see cref="Capture"/> read.</summary>
    public IEnumerable<StateItem> Items()
    {
        for (var i = 0; i < _values.Length; i++)
        {
            var value = new byte[_plan!.Registers[i].SizeBytes];
            if (value.Length == sizeof(ulong))
                BinaryPrimitives.WriteUInt64LittleEndian(value, _values[i]);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(value, (uint)_values[i]);
            yield return new StateItem(_plan.Registers[i].Id, value);
        }
    }

    /// <summary>Sets a fresh device in the order of <see cref="Arm64GicPlan"/>.</summary>
    public IEnumerable<RegisterRefusal> Restore(StateList state)
    {
        var refusals = new List<RegisterRefusal>();
        foreach (var step in _plan!.RestoreSteps)
        {
            if (!state.TryGet(step.Saved.Id, out var wanted) || wanted.Length != step.Saved.SizeBytes)
                continue; // The comparison names it.
            var value = wanted.Length == sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(wanted.Span) : BinaryPrimitives.ReadUInt32LittleEndian(wanted.Span);
            try
            {
                if (!step.IsLeftAlone || Get((uint)step.Written.Part, _plan.AttributeOf(step.Written)) != value)
                    Set((uint)step.Written.Part, _plan.AttributeOf(step.Written), step.IsCleared ? uint.MaxValue : value);
            }
            catch (KvmException refused)
            {
                refusals.Add(new RegisterRefusal(null, RegisterNames.NameOf(step.Saved.Id), step.Saved.Id, wanted, default, refused.Errno));
            }
        }

        return refusals;
    }

    public void Dispose() => _device.Dispose();

    private void Complete(GicDescription description, IReadOnlyList<IVcpu> vcpus)
    {
        ulong[] affinities = [.. vcpus.Select(AffinityOf)];
        _plan = new Arm64GicPlan(description.Interrupts, affinities, PriorityBits(affinities));
        _values = new ulong[_plan.Registers.Length];
    }

    // How many bits of a priority there are says which of the active priorities' registers exist: ICC_CTLR_EL1.PRIbits, less one.
    private int PriorityBits(ulong[] affinities) => affinities.Length == 0 ? 0
        : 1 + (int)((Get((uint)GicPart.CpuInterface, affinities[0] | GicRegisters.CpuInterface(0, "ICC_CTLR_EL1").Offset) >> 8) & 7);

    // MPIDR_EL1 as attributes have it: Aff3 to Aff0 in the upper half.
    private static ulong AffinityOf(IVcpu vcpu)
    {
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        vcpu.GetOneReg(Arm64SystemRegisters.IdOf("MPIDR_EL1"), value);
        var mpidr = BinaryPrimitives.ReadUInt64LittleEndian(value);
        return (((mpidr >> 32) & 0xff) << 56) | ((mpidr & 0xff_ffff) << 32);
    }

    // The kernel locks every vCPU for each of these calls and gives up at once where one is inside a call of its own. They are
    // parked, so that is over in microseconds: a capture reads the vCPUs' registers at the same time, each on its thread.
    private ulong Get(uint group, ulong attribute)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return _device.GetAttribute(group, attribute);
            }
            catch (KvmException refused) when (refused.Errno == Errno.EBUSY && attempt < MaxAttempts)
            {
                Thread.Yield();
            }
        }
    }

    private void Set(uint group, ulong attribute, ulong value)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                _device.SetAttribute(group, attribute, value);
                return;
            }
            catch (KvmException refused) when (refused.Errno == Errno.EBUSY && attempt < MaxAttempts)
            {
                Thread.Yield();
            }
        }
    }
}
