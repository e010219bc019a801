using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

// Registers that are checked against each other, and values that are no bits.
public abstract partial class AlteredStateContract
{
    private const ulong Pae = 1 << 5;

    [ContractFact]
    public void A_register_that_breaks_long_mode_is_named_alone()
    {
        var (_, cr3, _) = _saved.Turn(Altered, "cr3", 0);
        var (_, cr4, _) = _saved.Turn(Altered, "cr4", 0);
        (string Register, ulong Value, ulong Bits)[] rows =
        [
            ("cr3", cr3 | (1UL << 63), 1UL << 63),
            ("cr3", cr3 | (3UL << 62), 3UL << 62),
            ("cr4", cr4 & ~Pae, Pae),
            ("cr4", 0, Pae),
            ("cr4", (cr4 & ~Pae) | (1UL << 63), Pae | (1UL << 63)),
            ("cr0", 1, 1UL << 31),
            ("cr0", 1UL << 31, 1),
            ("cr0", 0, (1UL << 31) | 1),
            ("efer", 0x400, 0x100),
            ("efer", 0x100, 0x400),
            ("efer", 0, 0x500),
        ];
        for (var vcpu = 0; vcpu <= Altered; vcpu++)
        {
            foreach (var (register, value, bits) in rows)
                Assert.Equal([(vcpu, register, bits)], Named(_saved.Put(vcpu, register, value)));
        }

        Assert.False(HasRun);
    }

    [ContractFact]
    public void An_address_of_page_tables_that_is_wider_than_the_processors_is_named_with_the_bits_beyond()
    {
        var (vcpu, register, bits) = Assert.Single(Named(_saved.Put(Altered, "cr3", ulong.MaxValue)));
        Assert.Equal((Altered, "cr3"), (vcpu, register));

        // Below are addresses that every processor has, above those that none has.
        Assert.Equal(0xffc0_0000_0000_0000UL, bits & 0xffc0_0000_0000_0000);
        Assert.Equal(0UL, bits & 0xf_ffff_ffff);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void Two_registers_that_break_long_mode_are_both_named()
    {
        var (_, cr3, _) = _saved.Turn(Altered, "cr3", 0);
        var altered = _saved.Put(Altered, "cr3", cr3 | (3UL << 62)).Turn(Altered, "cr4", Pae | (1UL << 31)).Document;
        Assert.Equal([(Altered, "cr3", 3UL << 62), (Altered, "cr4", Pae | (1UL << 31))], Named(altered));
        altered = altered.Turn(Altered, "apic_base", 1UL << 60).Document;
        Assert.Equal(["cr3", "cr4", "apic_base"], Restore(altered).Refusals.Select(refusal => refusal.Register));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_register_is_named_and_not_the_component_that_has_it_looked_at()
    {
        // The x87 registers of a component that is left out read back as they are initially, without an error.
        foreach (var components in (ReadOnlySpan<ulong>)[2, 3])
        {
            var altered = _saved.Put(Altered, "xstate_bv", components).Turn(Altered, "mxcsr", 3UL << 30).Document;
            Assert.Equal([(Altered, "mxcsr", 3UL << 30)], Erring(altered));
            altered = altered.Turn(Altered, "xstate_bv", 1UL << 62).Document;
            Assert.Equal([(Altered, "mxcsr", 3UL << 30), (Altered, "xstate_bv", 1UL << 62)], Erring(altered));
        }

        Assert.Equal([(Altered, "xstate_bv", 3UL << 61)], Erring(_saved.Turn(Altered, "xstate_bv", 3UL << 61).Document));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_vector_that_no_exception_has_is_named_as_a_whole()
    {
        var altered = _saved.Put(Altered, "exception.injected", 1).Put(Altered, "exception.nr", 40);
        Assert.Equal(["vCPU 1 exception.nr: wanted 0x28, found 0x00, refused with EINVAL"], Refused(altered));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void Of_a_state_that_is_none_a_vcpu_keeps_its_own()
    {
        var ignores = new RegisterPolicy("lenient", [new RegisterRule("mp_state", RegisterAction.Ignore, "A test."), .. RegisterPolicy.Strict.Rules]);
        for (var vcpu = 0; vcpu <= Altered; vcpu++)
        {
            // Runnable is the first after its creation; the others wait for their start-up.
            var altered = _saved.Put(vcpu, "mp_state", 5);
            Assert.Equal([$"vCPU {vcpu} mp_state: wanted 0x00000005, found 0x{vcpu:x8}, refused with EINVAL"], Refused(altered));

            using var machine = MachineBuilder.Create(_kvm, altered.Machine);
            machine.Vcpus[vcpu].Capture();
            Assert.True(machine.Vcpus[vcpu].ToStateList().TryGet(StateIds.X64MpState, out var had));
            var report = machine.Restore(altered, ClockPolicy.Freeze, default, default, ignores);
            Assert.Equal([], report.Refusals.Select(refusal => refusal.ToString()));
            Assert.Contains("mp_state", report.Leniences);
            machine.Vcpus[vcpu].Capture();
            Assert.True(machine.Vcpus[vcpu].ToStateList().TryGet(StateIds.X64MpState, out var has));
            Assert.Equal(had.ToArray(), has.ToArray());
        }
    }

    private List<(int? Vcpu, string Register, ulong Bits)> Named(StateDocument document) => [.. Restore(document).Refusals.Select(Brief)];

    private List<(int? Vcpu, string Register, ulong Bits)> Erring(StateDocument document) =>
        [.. Restore(document).Refusals.Where(refusal => refusal.Errno != 0).Select(Brief)];

    private static (int? Vcpu, string Register, ulong Bits) Brief(RegisterRefusal refusal) => (refusal.Vcpu, refusal.Register, refusal.Bits);
}
