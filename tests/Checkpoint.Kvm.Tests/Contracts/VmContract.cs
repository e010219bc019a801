using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using static Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>How x86 VMs are built, and what they refuse.</summary>
public abstract class VmContract : IDisposable
{
    private readonly IKvm _kvm;
    private readonly IVm _vm;

    protected VmContract(IKvm kvm)
    {
        _kvm = kvm;
        _vm = kvm.CreateVm();
    }

    public void Dispose()
    {
        _vm.Dispose();
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_kernel_tells_what_it_is()
    {
        Assert.Equal(12, _kvm.ApiVersion);
        Assert.Equal(1, _kvm.CheckExtension(KvmCapability.UserMemory));
        Assert.Equal(_kvm.CheckExtension(KvmCapability.Xsave2), _vm.CheckExtension(KvmCapability.Xsave2));
        Assert.Equal(0, _kvm.CheckExtension(0xffff));
        Assert.True(_kvm.GetSupportedCpuid().Length > 0);
        Assert.Contains(0x174u, _kvm.GetMsrIndexList());
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _kvm.CreateVm(0x1000)));
    }

    [ContractFact]
    public void A_vcpu_id_is_given_once_and_has_a_limit()
    {
        using var vcpu = _vm.CreateVcpu(1, 0);
        var refused = Assert.Throws<KvmException>(() => _vm.CreateVcpu(1, 7));
        Assert.Equal(("KVM_CREATE_VCPU", EEXIST, 7), (refused.Request, refused.Errno, refused.Vcpu));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.CreateVcpu(999_999, 2)));
    }

    [ContractFact]
    public void Interrupt_chips_come_before_vcpus_and_once()
    {
        Assert.Equal(ENOENT, Refused.ErrnoOf(_vm.CreatePit));
        _vm.CreateIrqchip();
        Assert.Equal(EEXIST, Refused.ErrnoOf(_vm.CreateIrqchip));
        Assert.Equal(EEXIST, Refused.ErrnoOf(() => _vm.EnableCapability(Split(24))));
        _vm.CreatePit();
        Assert.Equal(EEXIST, Refused.ErrnoOf(_vm.CreatePit));

        using var without = _kvm.CreateVm();
        using var vcpu = without.CreateVcpu(0, 0);
        Assert.Equal(EINVAL, Refused.ErrnoOf(without.CreateIrqchip));
        Assert.Equal(EEXIST, Refused.ErrnoOf(() => without.EnableCapability(Split(24))));
    }

    [ContractFact]
    public void A_split_chip_has_local_apics_alone()
    {
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.EnableCapability(Split(4097))));
        _vm.EnableCapability(Split(24));
        Assert.Equal(EEXIST, Refused.ErrnoOf(_vm.CreateIrqchip));
        Assert.Equal(ENOENT, Refused.ErrnoOf(_vm.CreatePit));
        Assert.Equal(ENXIO, Refused.ErrnoOf(() => _vm.Get(KvmRequests.GetIrqchip, new byte[520])));
        using var vcpu = _vm.CreateVcpu(0, 0);
        vcpu.Get(KvmRequests.GetLapic, new byte[1024]);
    }

    [ContractFact]
    public void Chips_that_are_not_there_are_named_by_their_error()
    {
        Assert.Equal(ENXIO, Refused.ErrnoOf(() => _vm.Get(KvmRequests.GetPit2, new byte[112])));
        Assert.Equal(ENXIO, Refused.ErrnoOf(() => _vm.Set(KvmRequests.SetPit2, new byte[112])));
        Assert.Equal(ENXIO, Refused.ErrnoOf(() => _vm.Get(KvmRequests.GetIrqchip, new byte[520])));
        _vm.CreateIrqchip();
        var unknown = new byte[520];
        unknown[0] = 3;
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.Get(KvmRequests.GetIrqchip, unknown)));
    }

    [ContractFact]
    public void Chips_give_back_what_was_set()
    {
        _vm.CreateIrqchip();
        _vm.CreatePit();
        for (byte chip = 0; chip < 3; chip++)
        {
            var state = new byte[520];
            state[0] = chip;
            _vm.Get(KvmRequests.GetIrqchip, state);
            // A PIC's mask; a pin of the IOAPIC.
            state[chip < 2 ? 8 + 2 : 8 + 24 + 8] = 0x5a;
            _vm.Set(KvmRequests.SetIrqchip, state);
            var read = new byte[520];
            read[0] = chip;
            _vm.Get(KvmRequests.GetIrqchip, read);
            Assert.Equal(state, read);
        }

        var pit = new byte[112];
        _vm.Get(KvmRequests.GetPit2, pit);
        Assert.Equal(0x10000u, BinaryPrimitives.ReadUInt32LittleEndian(pit));
        BinaryPrimitives.WriteUInt32LittleEndian(pit.AsSpan(24), 0x1234);
        _vm.Set(KvmRequests.SetPit2, pit);
        _vm.Get(KvmRequests.GetPit2, pit);
        Assert.Equal(0x1234u, BinaryPrimitives.ReadUInt32LittleEndian(pit.AsSpan(24)));
    }

    [ContractFact]
    public void The_clock_goes_on_from_what_was_set()
    {
        var clock = new byte[48];
        BinaryPrimitives.WriteUInt64LittleEndian(clock, 1UL << 50);
        _vm.Set(KvmRequests.SetClock, clock);
        _vm.Get(KvmRequests.GetClock, clock);
        var read = BinaryPrimitives.ReadUInt64LittleEndian(clock);
        Assert.InRange(read, 1UL << 50, (1UL << 50) + 60_000_000_000);
        clock[8] = 1;
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.Set(KvmRequests.SetClock, clock)));
    }

    [ContractFact]
    public void Routes_need_a_chip_and_a_known_type()
    {
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.SetGsiRouting([])));
        _vm.CreateIrqchip();
        _vm.SetGsiRouting([]);
        var route = new byte[48];
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.SetGsiRouting(route)));
        (route[0], route[4]) = (5, 1);
        _vm.SetGsiRouting(route);
        Assert.Throws<ArgumentException>(() => _vm.SetGsiRouting(new byte[47]));
    }

    [ContractFact]
    public void Unknown_capabilities_and_flags_are_refused()
    {
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.EnableCapability(new EnabledCapability(9999, 0, [0, 0, 0, 0]))));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.EnableCapability(Split(24) with { Flags = 1 })));
        Assert.Throws<ArgumentException>(() => _vm.EnableCapability(Split(24) with { Arguments = [1, 2, 3, 4, 5] }));
    }

    [ContractFact]
    public void The_pages_of_the_kernel_itself_lie_below_4_GiB_and_come_before_vcpus()
    {
        _vm.SetTssAddress(0xfffb_d000);
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.SetTssAddress(0xffff_f000)));
        _vm.SetIdentityMapAddress(0xfffb_c000);
        using var vcpu = _vm.CreateVcpu(0, 0);
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.SetIdentityMapAddress(0xfffb_c000)));
    }

    [ContractFact]
    public void Slots_do_not_overlap_and_do_not_change()
    {
        using var memory = _vm.CreateMemory([new(0, 0, 0, 0x10000)]);
        MemoryRegion[] overlapping = [new(1, 0, 0xf000, 0x2000)];
        MemoryRegion[] same = [new(0, 0, 0x100_0000, 0x10000)];
        MemoryRegion[] flagged = [new(2, 0x80, 0x100_0000, 0x1000)];
        MemoryRegion[] numbered = [new(1_000_000, 0, 0x100_0000, 0x1000)];
        MemoryRegion[] high = [new(3, 0, 1UL << 60, 0x1000)];
        Assert.Equal(EEXIST, Refused.ErrnoOf(() => _vm.CreateMemory(overlapping)));
        foreach (var regions in (MemoryRegion[][])[same, flagged, numbered, high])
            Assert.Equal(EINVAL, Refused.ErrnoOf(() => _vm.CreateMemory(regions)));
    }

    [ContractFact]
    public void A_vcpu_goes_on_when_its_vm_is_disposed_of()
    {
        using var vcpu = _vm.CreateVcpu(0, 0);
        _vm.Dispose();
        _vm.Dispose();
        vcpu.Get(KvmRequests.GetRegs, new byte[144]);
    }

    private static EnabledCapability Split(ulong pins) => new(KvmCapability.SplitIrqchip, 0, [pins, 0, 0, 0]);
}
