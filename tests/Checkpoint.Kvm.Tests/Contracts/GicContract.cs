using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;
using static Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>How a GICv3 is built and what its attributes take, on every arm64 kernel.</summary>
public abstract class GicContract : IDisposable
{
    private const uint Addresses = 0;
    private const uint InterruptCount = 3;
    private const uint Orders = 4;
    private const ulong DistributorBase = 2;
    private const ulong RedistributorBase = 3;

    private readonly IKvm _kvm;
    private readonly IVm _vm;
    private readonly List<IVcpu> _vcpus = [];

    protected GicContract(IKvm kvm)
    {
        _kvm = kvm;
        _vm = kvm.CreateVm();
    }

    public void Dispose()
    {
        foreach (var vcpu in _vcpus)
            vcpu.Dispose();
        _vm.Dispose();
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_vm_has_one_gic_and_no_other_device()
    {
        using var gic = _vm.CreateDevice(7);
        Assert.Equal(EEXIST, Refused.ErrnoOf(() => _vm.CreateDevice(7).Dispose()));
        Assert.Equal(ENODEV, Refused.ErrnoOf(() => _vm.CreateDevice(0x1234).Dispose()));
    }

    [ContractFact]
    public void Addresses_and_numbers_are_set_once_and_in_their_limits()
    {
        using var gic = _vm.CreateDevice(7);
        Assert.True(gic.HasAttribute(Addresses, DistributorBase));
        Assert.False(gic.HasAttribute(Addresses, 17));
        Assert.False(gic.HasAttribute(99, 0));
        foreach (var count in (ulong[])[32, 65, 1056])
            Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.SetAttribute(InterruptCount, 0, count)));
        gic.SetAttribute(InterruptCount, 0, 96);
        Assert.Equal(EBUSY, Refused.ErrnoOf(() => gic.SetAttribute(InterruptCount, 0, 64)));
        Assert.Equal(96ul, gic.GetAttribute(InterruptCount, 0));

        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.SetAttribute(Addresses, DistributorBase, 0x0800_1000)));
        Assert.Equal(E2BIG, Refused.ErrnoOf(() => gic.SetAttribute(Addresses, DistributorBase, 1ul << 45)));
        gic.SetAttribute(Addresses, DistributorBase, 0x0800_0000);
        Assert.Equal(EEXIST, Refused.ErrnoOf(() => gic.SetAttribute(Addresses, DistributorBase, 0x0900_0000)));
        gic.SetAttribute(Addresses, RedistributorBase, 0x0a00_0000);
        Assert.Equal(0x0800_0000ul, gic.GetAttribute(Addresses, DistributorBase));
    }

    [ContractFact]
    public void Registers_come_with_the_initialisation_after_which_there_are_no_further_vcpus()
    {
        using var gic = _vm.CreateDevice(7);
        AddVcpu();
        Assert.Equal(EBUSY, Refused.ErrnoOf(() => gic.GetAttribute((uint)GicPart.Distributor, 8)));
        gic.SetAttribute(Orders, 0, 0);
        Assert.Equal(0x4bul, gic.GetAttribute((uint)GicPart.Distributor, 8) >> 24);
        gic.SetAttribute(Orders, 3, 0);
        Assert.Equal(EBUSY, Refused.ErrnoOf(AddVcpu));
    }

    [ContractFact]
    public void Machines_with_a_performance_monitor_run_and_are_restored_with_a_gic_and_without()
    {
        foreach (var gic in (GicDescription?[])[null, new GicDescription(0x0800_0000, 0x080a_0000, 96)])
        {
            var description = Arm64Machine.Describe(_kvm, 1, 1 << 20, Arm64VcpuFeatures.Psci | Arm64VcpuFeatures.Pmu, gic);
            using var machine = Arm64Machine.Create(_kvm, description);
            RunOnce(machine);
            machine.Vcpus[0].Capture();
            machine.CaptureVm();
            var saved = new StateDocument(description, machine.ToVmStateList(), [machine.Vcpus[0].ToStateList()], []);
            using var restored = Arm64Machine.Create(_kvm, description);
            Assert.Equal([], restored.Restore(saved, ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
            RunOnce(restored);
        }
    }

    [ContractFact]
    public void Registers_follow_the_kernels_rules()
    {
        using var gic = Started();
        // Bits that set and bits that clear.
        Assert.Equal(0xffff, Redistributor(gic, "isenabler0"));
        Write(gic, "icenabler0", uint.MaxValue);
        Write(gic, "isenabler0", 0x0800_0000);
        Write(gic, "isenabler0", 1);
        Assert.Equal(0x0800_0001, Redistributor(gic, "isenabler0"));
        Write(gic, "isactiver0", 0x3);
        Write(gic, "icactiver0", 0x1);
        Assert.Equal(0x2, Redistributor(gic, "isactiver0"));

        // The latch is set as a whole and ICPENDR does nothing here.
        Write(gic, "ispendr0", 0x6);
        Write(gic, "icpendr0", uint.MaxValue);
        Write(gic, "ispendr0", 0x4);
        Assert.Equal(0x4, Redistributor(gic, "ispendr0"));

        // Five bits of priority; configurations that are fixed.
        Write(gic, "ipriorityr1", 0xffff_ffff);
        Assert.Equal(0xf8f8_f8f8, Redistributor(gic, "ipriorityr1"));
        Write(gic, "icfgr0", 0);
        Assert.Equal(0xaaaa_aaaa, Redistributor(gic, "icfgr0"));
        Write(gic, "propbaser", 0);
        Assert.Equal(0x180, Redistributor(gic, "propbaser"));
    }

    [ContractFact]
    public void What_is_not_there_and_what_the_host_has_not_is_refused()
    {
        using var gic = Started();
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.GetAttribute((uint)GicPart.Redistributor, (7ul << 32) | 8)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.GetAttribute((uint)GicPart.Level, 33)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.SetAttribute((uint)GicPart.Distributor, 8, 0x1234)));
        var control = GicRegisters.CpuInterface(0, "ICC_CTLR_EL1").Offset;
        var held = gic.GetAttribute((uint)GicPart.CpuInterface, control);
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.SetAttribute((uint)GicPart.CpuInterface, control, held | (7 << 8))));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.SetAttribute((uint)GicPart.CpuInterface, GicRegisters.CpuInterface(0, "ICC_SRE_EL1").Offset, 0)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => gic.GetAttribute((uint)GicPart.CpuInterface, GicRegisters.CpuInterface(0, "ICC_AP1R3_EL1").Offset)));
    }

    private static long Redistributor(IKvmDevice gic, string name) =>
        (long)gic.GetAttribute((uint)GicPart.Redistributor, GicRegisters.Redistributor(0, name).Offset);

    private static void Write(IKvmDevice gic, string name, uint value) =>
        gic.SetAttribute((uint)GicPart.Redistributor, GicRegisters.Redistributor(0, name).Offset, value);

    private static void RunOnce(Arm64Machine machine)
    {
        var vcpu = machine.Vcpus[0].Vcpu;
        vcpu.ImmediateExit = true;
        Assert.Equal(VcpuExitReason.Interrupted, vcpu.Run().Reason);
        vcpu.ImmediateExit = false;
    }

    private void AddVcpu()
    {
        var init = new byte[KvmRequests.ArmPreferredTarget.ArgumentSize];
        _vm.Get(KvmRequests.ArmPreferredTarget, init);
        var vcpu = _vm.CreateVcpu((uint)_vcpus.Count, _vcpus.Count);
        _vcpus.Add(vcpu);
        vcpu.Set(KvmRequests.ArmVcpuInit, Arm64VcpuInit.Compose(init, Arm64VcpuFeatures.Psci));
    }

    private IKvmDevice Started()
    {
        var gic = _vm.CreateDevice(7);
        gic.SetAttribute(InterruptCount, 0, 64);
        gic.SetAttribute(Addresses, DistributorBase, 0x0800_0000);
        gic.SetAttribute(Addresses, RedistributorBase, 0x0a00_0000);
        AddVcpu();
        AddVcpu();
        gic.SetAttribute(Orders, 0, 0);
        return gic;
    }
}

public sealed class SimulatedGicTests() : GicContract(new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 }));

[NeedsArm64Kernel]
public sealed class RemoteGicTests() : GicContract(Agents.Arm64());
