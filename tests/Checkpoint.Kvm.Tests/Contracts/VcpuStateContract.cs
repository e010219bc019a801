using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.State;
using static Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>What every x86 kernel keeps of a vCPU, what it gives back, and what it refuses.</summary>
public abstract class VcpuStateContract : IDisposable
{
    private const uint SysenterCs = 0x174;
    private const uint SysenterEsp = 0x175;
    private const uint Bogus = 0x4b56_4d99;

    private readonly IKvm _kvm;
    private readonly UserModeGuest _guest;

    protected VcpuStateContract(IKvm kvm)
    {
        _kvm = kvm;
        // out dx, eax; jmp back
        _guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0xef, 0xeb, 0xfd);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_new_vcpu_stands_at_the_reset_vector()
    {
        using var vm = _kvm.CreateVm();
        using var vcpu = vm.CreateVcpu(0, 0);
        var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
        vcpu.Get(KvmRequests.GetRegs, regs);
        Assert.Equal((0xfff0ul, 2ul, 0x600ul), (Word(regs, 128), Word(regs, 136), Word(regs, 24)));
        var sregs = new byte[KvmRequests.GetSregs.ArgumentSize];
        vcpu.Get(KvmRequests.GetSregs, sregs);
        Assert.Equal((0xffff_0000ul, 0xf000, 0x6000_0010ul, 0xfee0_0900ul), (Word(sregs, 0), BitConverter.ToUInt16(sregs, 12), Word(sregs, 224), Word(sregs, 272)));
        var debug = new byte[KvmRequests.GetDebugregs.ArgumentSize];
        vcpu.Get(KvmRequests.GetDebugregs, debug);
        Assert.Equal((0xffff_0ff0ul, 0x400ul), (Word(debug, 32), Word(debug, 40)));
        var xsave = new byte[Math.Max(4096, vm.CheckExtension(KvmCapability.Xsave2))];
        vcpu.Get(KvmRequests.GetXsave2, xsave);
        Assert.Equal((0x37f, 0x1f80, 0ul), (BitConverter.ToUInt16(xsave, 0), BitConverter.ToInt32(xsave, 24), Word(xsave, 512)));
        Assert.Equal(0, vcpu.GetCpuid().Length);
        var pat = Msrs.Of(0x277);
        Assert.Equal(1, vcpu.GetMsrs(pat));
        Assert.Equal(0x0007_0406_0007_0406ul, Msrs.ValueAt(pat, 0));
    }

    [ContractFact]
    public void Every_struct_that_is_read_can_be_written_back_and_read_again()
    {
        (KvmRequest Get, KvmRequest Set)[] pairs =
        [
            (KvmRequests.GetMpState, KvmRequests.SetMpState), (KvmRequests.GetRegs, KvmRequests.SetRegs),
            (KvmRequests.GetSregs, KvmRequests.SetSregs), (KvmRequests.GetSregs2, KvmRequests.SetSregs2),
            (KvmRequests.GetXsave2, KvmRequests.SetXsave), (KvmRequests.GetXcrs, KvmRequests.SetXcrs),
            (KvmRequests.GetDebugregs, KvmRequests.SetDebugregs), (KvmRequests.GetVcpuEvents, KvmRequests.SetVcpuEvents),
            (KvmRequests.GetFpu, KvmRequests.SetFpu),
        ];
        foreach (var (get, set) in pairs)
        {
            var size = set.Code == KvmRequests.SetXsave.Code ? Math.Max(4096, _guest.Vcpu.CheckExtension(KvmCapability.Xsave2)) : 0;
            var first = _guest.Get(get, size);
            _guest.Vcpu.Set(set, first);
            Assert.Equal(first, _guest.Get(get, size));
        }
    }

    [ContractFact]
    public void A_task_priority_that_was_set_is_still_there_after_a_run()
    {
        var sregs = _guest.Get(KvmRequests.GetSregs);
        Put(sregs, 256, 5); // cr8
        _guest.Vcpu.Set(KvmRequests.SetSregs, sregs);
        _guest.Vcpu.ImmediateExit = true;
        Assert.Equal(VcpuExitReason.Interrupted, _guest.Vcpu.Run().Reason);
        Assert.Equal(5ul, Word(_guest.Get(KvmRequests.GetSregs), 256));
    }

    [ContractFact]
    public void General_registers_that_were_set_are_read_back()
    {
        var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
        for (var i = 0; i < 17; i++)
            Put(regs, 8 * i, 0x1111_0000_0000_0000ul + (ulong)i);
        Put(regs, 128, 0x1234);
        Put(regs, 136, 0xd7);
        _guest.Vcpu.Set(KvmRequests.SetRegs, regs);
        Assert.Equal(regs, _guest.Get(KvmRequests.GetRegs));
        Put(regs, 136, 0);
        _guest.Vcpu.Set(KvmRequests.SetRegs, regs);
        // The bit that is always set.
        Assert.Equal(2ul, Word(_guest.Get(KvmRequests.GetRegs), 136));
    }

    [ContractFact]
    public void Control_registers_that_contradict_each_other_are_refused()
    {
        (int Offset, ulong Value)[][] refused =
        [
            [(248, 1UL << 40)], // CR4 with a bit that is none
            [(248, 0x600)], // long mode without CR4.PAE
            [(264, 0x100)], // paging with LME but no LMA
            [(224, 0x8000_0010)], // paging without protection
            [(224, 0x1_8005_0033)], // CR0 above 32 bits
            [(224, 0xa005_0033)], // not-write-through without cache-disable
            [(224, 0x10), (248, 0), (264, 0x400)], // LMA without paging
            [(272, 0xfee0_0001)], // APIC_BASE with a reserved bit
            [(272, 0xfee0_0400)], // x2APIC without the APIC
        ];
        var before = _guest.Get(KvmRequests.GetSregs2);
        foreach (var changes in refused)
        {
            var errno = _guest.TrySet(KvmRequests.GetSregs2, KvmRequests.SetSregs2, sregs =>
            {
                foreach (var (offset, value) in changes)
                    Put(sregs, offset, value);
            });
            Assert.True(errno == EINVAL, $"0x{changes[0].Value:x} at {changes[0].Offset} gave {errno}.");
        }

        Assert.Equal(EINVAL, _guest.TrySet(KvmRequests.GetSregs2, KvmRequests.SetSregs2, sregs => sregs[280] = 2));
        Assert.Equal(EINVAL, _guest.TrySet(KvmRequests.GetSregs2, KvmRequests.SetSregs2, sregs => sregs[280] = 1));
        Assert.Equal(before, _guest.Get(KvmRequests.GetSregs2));
    }

    [ContractFact]
    public void Xcr0_needs_x87_and_what_the_guests_cpuid_has()
    {
        int With(ulong xcr0) => _guest.TrySet(KvmRequests.GetXcrs, KvmRequests.SetXcrs, xcrs => Put(xcrs, 16, xcr0));
        Assert.Equal((EINVAL, EINVAL, EINVAL), (With(0), With(5), With(1 | (1UL << 40))));
        Assert.Equal((0, 0, 0), (With(3), With(7), With(1)));
        Assert.Equal(EINVAL, _guest.TrySet(KvmRequests.GetXcrs, KvmRequests.SetXcrs, xcrs => xcrs[0] = 17));
        Assert.Equal(EINVAL, _guest.TrySet(KvmRequests.GetXcrs, KvmRequests.SetXcrs, xcrs => xcrs[4] = 1));
        Assert.Equal(0, _guest.TrySet(KvmRequests.GetXcrs, KvmRequests.SetXcrs, xcrs => xcrs[8] = 1));
    }

    [ContractFact]
    public void Without_a_local_apic_a_vcpu_is_runnable_and_has_no_lapic()
    {
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Get(KvmRequests.GetLapic)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.Set(KvmRequests.SetLapic, new byte[1024])));
        for (byte state = 1; state < 12; state++)
            Assert.Equal(EINVAL, _guest.TrySet(KvmRequests.GetMpState, KvmRequests.SetMpState, mp => mp[0] = state));
        Assert.Equal(0, _guest.Get(KvmRequests.GetMpState)[0]);
    }

    [ContractFact]
    public void With_a_local_apic_a_vcpu_has_the_states_that_x86_knows()
    {
        using var guest = new UserModeGuest(_kvm, InterruptChip.Full, 2, 0xf4);
        // KVM_MP_STATE_SIPI_RECEIVED is taken while it is read: the vCPU has started by then.
        (byte Set, byte Read)[] known = [(1, 1), (2, 2), (3, 3), (4, 0), (9, 9), (0, 0)];
        foreach (var (set, read) in known)
        {
            Assert.Equal(0, guest.TrySet(KvmRequests.GetMpState, KvmRequests.SetMpState, mp => mp[0] = set));
            Assert.Equal(read, guest.Get(KvmRequests.GetMpState)[0]);
        }

        foreach (byte unknown in (byte[])[5, 10, 11])
            Assert.Equal(EINVAL, guest.TrySet(KvmRequests.GetMpState, KvmRequests.SetMpState, mp => mp[0] = unknown));
        var lapic = guest.Get(KvmRequests.GetLapic);
        lapic[0x80] = 0x20;
        guest.Vcpu.Set(KvmRequests.SetLapic, lapic);
        Assert.Equal(0x20, guest.Get(KvmRequests.GetLapic)[0x80]);
        // CR8 is the upper half of the task priority.
        Assert.Equal(2, guest.Get(KvmRequests.GetSregs)[256]);
    }

    [ContractFact]
    public void Events_that_do_not_exist_are_refused()
    {
        int With(Action<byte[]> change) => _guest.TrySet(KvmRequests.GetVcpuEvents, KvmRequests.SetVcpuEvents, change);
        Assert.Equal(EINVAL, With(events => events[20] = 0x80));
        Assert.Equal(EINVAL, With(events => events[20] |= 0x10)); // payloads, which this VM has not enabled
        Assert.Equal(EINVAL, With(events => events[20] |= 0x20)); // triple faults likewise
        Assert.Equal(EINVAL, With(events => (events[0], events[1]) = (1, 32)));
        Assert.Equal(EINVAL, With(events => (events[0], events[1]) = (1, 2)));
        Assert.Equal(0, With(events => (events[0], events[1], events[2], events[4]) = (1, 13, 1, 7)));
        Assert.Equal([1, 13, 1, 0, 7], _guest.Get(KvmRequests.GetVcpuEvents)[..5]);
        Assert.Equal(0, With(events => events.AsSpan(0, 16).Clear()));
    }

    [ContractFact]
    public void Setting_general_registers_forgets_a_pending_exception_but_not_an_injected_one()
    {
        using var vm = _kvm.CreateVm();
        vm.EnableCapability(new EnabledCapability(KvmCapability.ExceptionPayload, 0, [1, 0, 0, 0]));
        using var vcpu = vm.CreateVcpu(0, 0);
        foreach (var (injected, pending) in ((byte, byte)[])[(0, 1), (1, 0)])
        {
            var events = new byte[KvmRequests.GetVcpuEvents.ArgumentSize];
            vcpu.Get(KvmRequests.GetVcpuEvents, events);
            (events[0], events[1], events[3], events[20]) = (injected, 13, pending, (byte)(events[20] | 0x10));
            vcpu.Set(KvmRequests.SetVcpuEvents, events);
            var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
            vcpu.Get(KvmRequests.GetRegs, regs);
            vcpu.Set(KvmRequests.SetRegs, regs);
            vcpu.Get(KvmRequests.GetVcpuEvents, events);
            Assert.Equal((injected, 0), (events[0], events[3]));
        }
    }

    [ContractFact]
    public void An_exception_that_was_about_to_be_delivered_is_carried_over_without_payloads_too()
    {
        using var guest = GuestMachine.Create(_kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1 });
        var (machine, vcpu) = (guest.Machine, guest.Machine.Vcpus[0]);
        var events = new byte[KvmRequests.GetVcpuEvents.ArgumentSize];
        // Only with payloads can a kernel be told of one that is pending. Without them it tells of one as injected, and may say pending besides.
        machine.Vm.EnableCapability(new EnabledCapability(KvmCapability.ExceptionPayload, 0, [1, 0, 0, 0]));
        vcpu.Vcpu.Get(KvmRequests.GetVcpuEvents, events);
        (events[0], events[1], events[2], events[3], events[20]) = (0, 13, 1, 1, (byte)(events[20] | 0x10));
        vcpu.Vcpu.Set(KvmRequests.SetVcpuEvents, events);
        machine.Vm.EnableCapability(new EnabledCapability(KvmCapability.ExceptionPayload, 0, [0, 0, 0, 0]));
        vcpu.Capture();
        machine.CaptureVm();
        var document = new StateDocument(machine.Description, machine.ToVmStateList(), [vcpu.ToStateList()], []);

        using var fresh = MachineBuilder.Create(_kvm, machine.Description);
        Assert.Empty(fresh.Restore(document, ClockPolicy.Freeze, default, default).Refusals);
        fresh.Vcpus[0].Vcpu.Get(KvmRequests.GetVcpuEvents, events);
        Assert.Equal([1, 13, 1, 0], events[..4]);
    }

    [ContractFact]
    public void Debug_registers_have_32_bits_where_it_counts()
    {
        int With(Action<byte[]> change) => _guest.TrySet(KvmRequests.GetDebugregs, KvmRequests.SetDebugregs, change);
        Assert.Equal(EINVAL, With(debug => Put(debug, 32, 1UL << 32)));
        Assert.Equal(EINVAL, With(debug => Put(debug, 40, 1UL << 32)));
        Assert.Equal(EINVAL, With(debug => debug[48] = 1));
        Assert.Equal(0, With(debug => Put(debug, 0, 0xffff_8000_0000_1234)));
        Assert.Equal(0xffff_8000_0000_1234ul, Word(_guest.Get(KvmRequests.GetDebugregs), 0));
    }

    [ContractFact]
    public void An_xsave_area_says_which_parts_of_it_count()
    {
        var size = Math.Max(4096, _guest.Vcpu.CheckExtension(KvmCapability.Xsave2));
        int With(Action<byte[]> change) => _guest.TrySet(KvmRequests.GetXsave2, KvmRequests.SetXsave, change);
        Assert.Equal(EINVAL, With(area => area[517] = 1)); // a component that there is not
        Assert.Equal(EINVAL, With(area => area[527] = 0x80)); // the compacted format
        Assert.Equal(EINVAL, With(area => area[560] = 1)); // a reserved byte of the header
        Assert.Equal(EINVAL, With(area => (area[512], area[26], area[27]) = (2, 0xff, 0xff))); // MXCSR with reserved bits
        Assert.Equal(0, With(area => (area[512], area[160], area[175]) = (2, 0x11, 0x22)));
        var read = _guest.Get(KvmRequests.GetXsave2, size);
        Assert.Equal((0x11, 0x22), (read[160], read[175]));
        Assert.Equal(0, With(area => area[512] = 0)); // the initial state, whatever the bytes are
        Assert.Equal(0, _guest.Get(KvmRequests.GetXsave2, size)[160]);
    }

    [ContractFact]
    public void A_batch_of_msrs_stops_at_the_refused_one()
    {
        var msrs = Msrs.Of(SysenterCs, Bogus, SysenterEsp);
        Assert.Equal(1, _guest.Vcpu.GetMsrs(msrs));
        Msrs.SetValueAt(msrs, 0, 0x10);
        Msrs.SetValueAt(msrs, 2, 0x20);
        Assert.Equal(1, _guest.Vcpu.SetMsrs(msrs));
        var read = Msrs.Of(SysenterCs, SysenterEsp, SysenterCs);
        Assert.Equal(3, _guest.Vcpu.GetMsrs(read));
        Assert.Equal((0x10ul, 0ul, 0x10ul), (Msrs.ValueAt(read, 0), Msrs.ValueAt(read, 1), Msrs.ValueAt(read, 2)));
    }

    [ContractFact]
    public void Values_that_a_processor_would_refuse_are_refused_by_their_msr()
    {
        // IA32_LSTAR with an address that is none, IA32_EFER with reserved bits. IA32_PAT's types belong here, but KVM leaves
        // that check to its backends, and the software backend (PVM) does not make it.
        (uint Index, ulong Value)[] refused = [(0xc000_0082, 1UL << 60), (0xc000_0080, ulong.MaxValue)];
        foreach (var (index, value) in refused)
        {
            var msrs = Msrs.Of(index);
            Msrs.SetValueAt(msrs, 0, value);
            Assert.True(_guest.Vcpu.SetMsrs(msrs) == 0, $"0x{value:x} was taken for MSR 0x{index:x}.");
        }
    }

    [ContractFact]
    public void A_call_takes_fewer_than_256_msrs()
    {
        Assert.Equal(255, _guest.Vcpu.GetMsrs(Msrs.Of([.. Enumerable.Repeat(SysenterCs, 255)])));
        var tooMany = Msrs.Of([.. Enumerable.Repeat(SysenterCs, 256)]);
        Assert.Equal(E2BIG, Refused.ErrnoOf(() => _guest.Vcpu.GetMsrs(tooMany)));
        Assert.Equal(E2BIG, Refused.ErrnoOf(() => _guest.Vcpu.SetMsrs(tooMany)));
    }

    [ContractFact]
    public void An_msr_is_the_same_one_by_its_register_id()
    {
        if (_guest.Vcpu.CheckExtension(KvmCapability.OneReg) == 0)
            return;
        _guest.Vcpu.SetOneReg(StateIds.X64Msr(SysenterEsp), [1, 2, 3, 4, 5, 6, 0, 0]);
        var msrs = Msrs.Of(SysenterEsp);
        _guest.Vcpu.GetMsrs(msrs);
        Assert.Equal(0x0605_0403_0201ul, Msrs.ValueAt(msrs, 0));
        ulong[] unknown = [StateIds.X64Msr(Bogus), 0x2020_0002_0000_0174, 0x2030_00ff_0000_0174, 0x6030_0000_0013_c102];
        foreach (var id in unknown)
            Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.GetOneReg(id, new byte[RegisterBatch.SizeOf(id)])));
        Assert.Empty(_guest.Vcpu.GetRegList());
    }

    [ContractFact]
    public void Cpuid_may_be_set_again_after_the_first_run_but_not_changed()
    {
        var table = _guest.Vcpu.GetCpuid().ToArray();
        Assert.Equal(E2BIG, Refused.ErrnoOf(() => _guest.Vcpu.SetCpuid(new byte[257 * 40])));
        _guest.Vcpu.Run();
        Assert.Equal(0, Refused.ErrnoOf(() => _guest.Vcpu.SetCpuid(table)));
        var changed = table.ToArray();
        changed[52] ^= 1;
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.SetCpuid(changed)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.SetCpuid(table.AsSpan(40))));
    }

    [ContractFact]
    public void A_tsc_frequency_of_0_is_the_hosts_and_a_higher_one_is_taken()
    {
        var own = _guest.Vcpu.Call(KvmRequests.GetTscKhz, 0);
        _guest.Vcpu.Call(KvmRequests.SetTscKhz, (ulong)own + 1_000_000);
        Assert.Equal(own + 1_000_000, _guest.Vcpu.Call(KvmRequests.GetTscKhz, 0));
        _guest.Vcpu.Call(KvmRequests.SetTscKhz, 0);
        Assert.Equal(own, _guest.Vcpu.Call(KvmRequests.GetTscKhz, 0));
        // The guest has not switched a paravirtual clock on, so there is nobody to tell that it was stopped.
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.Call(KvmRequests.KvmclockCtrl, 0)));
    }

    [ContractFact]
    public void Requests_of_other_files_and_architectures_are_refused()
    {
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Get(KvmRequests.GetClock)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => _guest.Vcpu.Set(KvmRequests.ArmVcpuInit, new byte[32])));
        Assert.Equal(ENOTTY, Refused.ErrnoOf(() => _guest.Vm.Get(KvmRequests.GetRegs, new byte[144])));
        Assert.Throws<ArgumentException>(() => _guest.Vcpu.Get(KvmRequests.GetRegs, new byte[143]));
        Assert.Throws<ArgumentException>(() => _guest.Vcpu.Get(KvmRequests.GetOneReg, new byte[16]));
        Assert.Throws<ArgumentException>(() => { _guest.Vcpu.Call(KvmRequests.Run, 0); });
        Assert.Throws<ArgumentException>(() => _guest.Vcpu.GetOneReg(StateIds.X64Msr(SysenterCs), new byte[4]));
    }

    private static ulong Word(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(offset));

    private static void Put(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);
}
