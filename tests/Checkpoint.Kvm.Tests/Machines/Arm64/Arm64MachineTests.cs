using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

public sealed class Arm64MachineTests
{
    private static readonly ulong s_tcr = Arm64SystemRegisters.IdOf("TCR_EL1");

    [Fact]
    public void Every_vcpu_is_initialised_given_its_vector_lengths_and_finalized_in_that_order()
    {
        using var kvm = new FakeArm64Kvm { HasSve = true };
        var description = Arm64Machine.Describe(kvm, 2, 4096);
        kvm.Calls.Clear();
        using var machine = Arm64Machine.Create(kvm, description);
        Assert.Equal(["0 INIT", "0 sve_vls", "0 FINALIZE", "1 INIT", "1 sve_vls", "1 FINALIZE"], kvm.Calls);
        Assert.Equal(32 + 64, description.Vcpus[0].Features.Length);
    }

    [Fact]
    public void A_vcpu_without_sve_has_no_vector_lengths_and_is_not_finalized()
    {
        using var kvm = new FakeArm64Kvm();
        var description = Arm64Machine.Describe(kvm, 1, 4096, Arm64VcpuFeatures.Psci | Arm64VcpuFeatures.PowerOff);
        using var machine = Arm64Machine.Create(kvm, description);
        Assert.Equal(["0 INIT"], kvm.Calls);
        Assert.Equal(32, description.Vcpus[0].Features.Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_restore_sets_in_the_documented_order(bool manyRegs)
    {
        using var kvm = new FakeArm64Kvm { HasSve = true, HasManyRegs = manyRegs };
        var (saved, fresh) = SaveAndCreate(kvm, vcpus: 2);
        using var machine = fresh;
        kvm.Calls.Clear();
        var report = machine.Restore(saved, ClockPolicy.Freeze, default, default);
        Assert.Equal([], report.Refusals);
        Assert.Equal(manyRegs ? "many-regs" : "one-reg", machine.Vcpus[0].Batching);

        var first = kvm.Calls.Where(call => call.StartsWith("0 ", StringComparison.Ordinal)).Select(call => call[2..]).ToList();
        var second = kvm.Calls.Where(call => call.StartsWith("1 ", StringComparison.Ordinal)).Select(call => call[2..]).ToList();
        string[] beginning = ["fw.std_bmap", "fw.std_hyp_bmap", "fw.vendor_hyp_bmap", "fw.vendor_hyp_bmap_2", "fw.psci_version"];
        Assert.Equal(beginning, first.Take(5));
        Assert.True(first.IndexOf("ID_AA64PFR0_EL1") < first.IndexOf("TCR_EL1"));
        Assert.True(first.IndexOf("TCR_EL1") < first.IndexOf("CNTVCT_EL0") && first.IndexOf("z3") < first.IndexOf("CNTVCT_EL0"));
        Assert.True(first.IndexOf("CNTVCT_EL0") < first.IndexOf("CNTV_CVAL_EL0") && first.IndexOf("CNTV_CVAL_EL0") < first.IndexOf("CNTV_CTL_EL0"));
        Assert.Equal(["KVM_SET_VCPU_EVENTS", "KVM_SET_MP_STATE"], first.TakeLast(2));
        // The counters are the VM's: set once. The lengths are compared, the V registers are Z registers.
        Assert.Equal(first.Except(["CNTVCT_EL0", "CNTPCT_EL0"]), second);
        Assert.Empty(first.Intersect(["sve_vls", "v0", "v31"]));
        Assert.True(first.IndexOf("MIDR_EL1") is > 0 and var identity && identity < first.IndexOf("TCR_EL1"));
        Assert.Equal(first.Count, first.Distinct().Count());
    }

    [Fact]
    public void What_was_saved_is_saved_the_same_after_a_restore()
    {
        using var kvm = new FakeArm64Kvm { HasSve = true };
        var (saved, fresh) = SaveAndCreate(kvm, vcpus: 2);
        using var machine = fresh;
        machine.Restore(saved, ClockPolicy.Freeze, default, default);
        for (var i = 0; i < 2; i++)
        {
            machine.Vcpus[i].Capture();
            var again = machine.Vcpus[i].ToStateList();
            Assert.Equal(saved.Vcpus[i].Select(item => item.Id), again.Select(item => item.Id));
            Assert.All(again.Zip(saved.Vcpus[i]), pair => Assert.True(
                pair.First.Value.Span.SequenceEqual(pair.Second.Value.Span) || (i == 1 && RegisterNames.NameOf(pair.First.Id).EndsWith("CT_EL0", StringComparison.Ordinal))));
        }
    }

    [Fact]
    public void Where_the_lists_differ_every_difference_is_named_and_nothing_is_set()
    {
        using var kvm = new FakeArm64Kvm();
        var (saved, first) = SaveAndCreate(kvm, vcpus: 1);
        first.Dispose();
        kvm.Listed.Remove(s_tcr);
        kvm.Listed.Add(Arm64SystemRegisters.IdOf("TCR2_EL1"));
        using var machine = Arm64Machine.Create(kvm, saved.Machine);
        kvm.Calls.Clear();
        var report = machine.Restore(saved, ClockPolicy.Freeze, default, default);
        Assert.Equal(["vCPU 0 TCR_EL1: wanted", "vCPU 0 TCR2_EL1: not in the checkpoint"], report.Refusals.Select(each => each.ToString().Split([" 0x", ","], default)[0]));
        Assert.Empty(kvm.Calls);
    }

    [Fact]
    public void A_register_that_may_be_missing_is_a_lenience_and_the_rest_is_set()
    {
        using var kvm = new FakeArm64Kvm();
        kvm.Listed.Add(Arm64SystemRegisters.IdOf("TCR2_EL1"));
        var (saved, first) = SaveAndCreate(kvm, vcpus: 1);
        first.Dispose();
        kvm.Listed.Remove(Arm64SystemRegisters.IdOf("TCR2_EL1"));
        using var machine = Arm64Machine.Create(kvm, saved.Machine);
        var policy = new RegisterPolicy("6.13", [new RegisterRule("TCR2_EL1", RegisterAction.MayBeMissing, "Hidden since 6.13.")]);
        var report = machine.Restore(saved, ClockPolicy.Freeze, default, default, policy);
        Assert.Equal([], report.Refusals);
        Assert.Equal(["TCR2_EL1"], report.Leniences);
    }

    [Fact]
    public void Another_processor_is_named_by_both_identities()
    {
        using var kvm = new FakeArm64Kvm();
        var (saved, first) = SaveAndCreate(kvm, vcpus: 1);
        first.Dispose();
        using var other = new FakeArm64Kvm { Midr = 0x410f_d490 };
        using var machine = Arm64Machine.Create(other, saved.Machine);
        var refusal = Assert.Single(machine.Restore(saved, ClockPolicy.Freeze, default, default).Refusals);
        Assert.StartsWith("vCPU 0 MIDR_EL1: wanted 0x00000000413fd0c1, found 0x00000000410fd490, refused with EINVAL; ", refusal.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_value_that_the_kernel_refuses_is_named_once_and_the_others_are_set(bool manyRegs)
    {
        using var kvm = new FakeArm64Kvm { HasManyRegs = manyRegs };
        var (saved, machine) = SaveAndCreate(kvm, vcpus: 2);
        using var _ = machine;
        kvm.Refused[s_tcr] = Errno.EINVAL;
        var report = machine.Restore(saved, ClockPolicy.Freeze, default, default);
        Assert.Equal([(0, s_tcr, Errno.EINVAL), (1, s_tcr, Errno.EINVAL)], report.Refusals.Select(each => (each.Vcpu!.Value, each.Id, each.Errno)));
    }

    [Fact]
    public void A_write_that_must_succeed_tells_call_vcpu_register_and_how_many_were_written()
    {
        using var kvm = new FakeArm64Kvm { HasManyRegs = true };
        var (_, machine) = SaveAndCreate(kvm, vcpus: 3);
        using var __ = machine;
        kvm.Refused[s_tcr] = Errno.EINVAL;
        var image = RegisterImage.Create(RegisterBatching.ManyRegs, [Arm64Registers.Pc, s_tcr, Arm64Registers.X(1)]);
        var failure = Assert.Throws<KvmException>(() => image.WriteAll(machine.Vcpus[2].Vcpu));
        Assert.Equal("KVM_SET_MANY_REGS failed on vCPU 2 at TCR_EL1 (0x603000000013c102): EINVAL; 2 of 3 written", failure.Message);
    }

    [Fact]
    public void The_vector_lengths_of_the_checkpoint_are_the_new_machines()
    {
        using var narrow = new FakeArm64Kvm { HasSve = true, VectorLengths = 0b1 };
        var description = Arm64Machine.Describe(narrow, 1, 4096);
        using var wide = new FakeArm64Kvm { HasSve = true, VectorLengths = 0b1011 };
        using var machine = Arm64Machine.Create(wide, description);
        machine.Vcpus[0].Capture();
        Assert.True(machine.Vcpus[0].ToStateList().TryGet(Arm64Registers.SveLengths, out var lengths));
        Assert.Equal(1, lengths.Span[0]);
    }

    [Fact]
    public void A_machine_is_built_by_its_architecture_and_frees_what_it_has()
    {
        using var kvm = new FakeArm64Kvm();
        using (var machine = MachineBuilder.Create(kvm, Arm64Machine.Describe(kvm, 2, 8192)))
        {
            Assert.IsType<Arm64Machine>(machine);
            Assert.Equal(["vm", "memory", "vcpu 0", "vcpu 1"], kvm.Open);
            Assert.Null(machine.GuestClockNs);
            machine.CaptureVm();
            Assert.Empty(machine.ToVmStateList());
        }

        Assert.Empty(kvm.Open);
        var withChip = Arm64Machine.Describe(kvm, 1, 4096) with { InterruptChip = InterruptChip.Full };
        Assert.Throws<ArgumentException>(() => MachineBuilder.Create(kvm, withChip));
        var shortFeatures = withChip with { InterruptChip = InterruptChip.None, Vcpus = [new VcpuDescription(0, new byte[31])] };
        Assert.Throws<ArgumentException>(() => MachineBuilder.Create(kvm, shortFeatures));
        Assert.Throws<ArgumentException>(() => MachineBuilder.Create(kvm, withChip with { Architecture = (MachineArchitecture)9 }));
        Assert.Empty(kvm.Open);
    }

    [Fact]
    public void A_ledger_is_refused_by_a_processor_without_its_atomic_instruction()
    {
        using var kvm = new FakeArm64Kvm();
        var options = new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = 1 };
        Assert.Throws<NotSupportedException>(() => GuestMachine.Create(kvm, GuestKind.Ledger, options));
        Assert.Empty(kvm.Open);
        using var counter = GuestMachine.Create(kvm, GuestKind.Counter, options);
        Assert.Equal([], counter.Verify().Failures);
    }

    [Fact]
    public void A_clock_that_is_to_advance_is_refused_before_anything_is_set()
    {
        using var kvm = new FakeArm64Kvm();
        var (saved, machine) = SaveAndCreate(kvm, vcpus: 1);
        using var _ = machine;
        kvm.Calls.Clear();
        Assert.Throws<NotSupportedException>(() => machine.Restore(saved, ClockPolicy.Advance, default, default));
        Assert.Empty(kvm.Calls);
    }

    // Every register that can be set holds a value of its own.
    private static (StateDocument Saved, Arm64Machine Fresh) SaveAndCreate(FakeArm64Kvm kvm, int vcpus)
    {
        var description = Arm64Machine.Describe(kvm, vcpus, 4096);
        using var machine = Arm64Machine.Create(kvm, description);
        foreach (var state in machine.Vcpus)
        {
            foreach (var id in state.Vcpu.GetRegList().Where(id => !Arm64SystemRegisters.IsInvariant(id) && id != Arm64Registers.SveLengths))
            {
                var value = new byte[RegisterBatch.SizeOf(id)];
                Array.Fill(value, (byte)((id * 7) + (uint)state.Vcpu.Index + 1));
                state.Vcpu.SetOneReg(id, value);
            }

            state.Capture();
        }

        var saved = new StateDocument(description, StateList.Empty, [.. machine.Vcpus.Select(state => state.ToStateList())], []);
        return (saved, Arm64Machine.Create(kvm, description));
    }
}
