using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>
/// Checkpoints of a guest that ran, each with one value that no host takes: the restore names exactly that one, with both values, and
/// nothing has run on the machine that was built for it.
/// </summary>
public abstract partial class AlteredStateContract : IDisposable
{
    private const int Altered = 1;

    private readonly IKvm _kvm;
    private readonly StateDocument _saved;
    private readonly List<string> _calls = [];

    protected AlteredStateContract(IKvm kvm)
    {
        _kvm = kvm;
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2, Seed = 7, ExitEverySteps = 1 << 12 });
        RunGuest.For(guest, exits: 2);
        _saved = RunGuest.Capture(guest.Machine);
    }

    private bool HasRun => _calls.Contains("KVM_RUN");

    // What a restore sets; the CPUID belongs to the building.
    private bool HasSet => _calls.Any(call => call.StartsWith("KVM_SET_", StringComparison.Ordinal)
        && call is not ("KVM_SET_CPUID2" or "KVM_SET_USER_MEMORY_REGION" or "KVM_SET_TSS_ADDR" or "KVM_SET_IDENTITY_MAP_ADDR"));

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void An_unaltered_checkpoint_is_taken()
    {
        Assert.Equal([], Refused(_saved));
        Assert.True(HasSet);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void Reserved_bits_are_named_with_the_register_that_has_them()
    {
        foreach (var (register, bit) in (ReadOnlySpan<(string, int)>)[("cr4", 31), ("cr4", 63), ("cr0", 40), ("efer", 40), ("apic_base", 60), ("dr7", 40), ("dr6", 33), ("xcr0", 62)])
        {
            var (altered, was, wanted) = _saved.Turn(Altered, register, 1UL << bit);
            Assert.Equal([$"vCPU 1 {register}: wanted 0x{wanted:x16}, found 0x{was:x16}, refused with EINVAL (bit {bit})"], Refused(altered));
        }

        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_reserved_bit_among_4096_bytes_is_named()
    {
        var (altered, was, wanted) = _saved.Turn(Altered, "mxcsr", 1UL << 31);
        Assert.Equal([$"vCPU 1 mxcsr: wanted 0x{wanted:x8}, found 0x{was:x8}, refused with EINVAL (bit 31)"], Refused(altered));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void Two_registers_of_one_struct_are_both_named()
    {
        var (first, _, _) = _saved.Turn(Altered, "cr4", 1UL << 31);
        var (altered, _, _) = first.Turn(Altered, "apic_base", 1UL << 60);
        var refusals = Refused(altered);
        Assert.Equal(2, refusals.Count);
        Assert.StartsWith("vCPU 1 cr4: ", refusals[0], StringComparison.Ordinal);
        Assert.EndsWith("refused with EINVAL (bit 31)", refusals[0], StringComparison.Ordinal);
        Assert.StartsWith("vCPU 1 apic_base: ", refusals[1], StringComparison.Ordinal);
        Assert.EndsWith("refused with EINVAL (bit 60)", refusals[1], StringComparison.Ordinal);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void The_others_of_a_struct_with_a_refused_register_are_read_back_too()
    {
        // RFLAGS has bit 1 whatever is set; of CR8 there are four bits. KVM takes both without a word.
        var (first, _, _) = _saved.Turn(Altered, "cr4", 1UL << 31);
        var (altered, _, _) = first.Turn(Altered, "cr8", 1UL << 8);
        (altered, _, _) = altered.Turn(Altered, "rflags", 2);
        Assert.Equal(["cr4", "cr8", "rflags"], Restore(altered).Refusals.Select(refusal => refusal.Register).Order(StringComparer.Ordinal));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void An_address_that_is_none_is_named_with_how_many_msrs_were_written()
    {
        var count = _saved.Vcpus[Altered].Count(item => (item.Id & StateIds.X64MsrMask) == StateIds.X64MsrBase);
        var (altered, was, wanted) = _saved.Turn(Altered, "IA32_LSTAR", 1UL << 63);
        var refusal = Assert.Single(Restore(altered).Refusals);
        Assert.StartsWith($"vCPU 1 IA32_LSTAR: wanted 0x{wanted:x16}, found 0x{was:x16}, refused with EINVAL; {refusal.BatchWritten} of {refusal.BatchSize} written", refusal.ToString(), StringComparison.Ordinal);
        // The TSC goes by its offset where the vCPU has one.
        Assert.InRange(refusal.BatchSize, count - 1, count);
        Assert.InRange(refusal.BatchWritten, 1, refusal.BatchSize - 1);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_list_that_differs_is_named_before_anything_is_set()
    {
        Assert.Equal(
            ["vCPU 1 MSR 0x4b564d99: wanted 0x0000000000000000, this host does not have it"],
            Refused(_saved.WithItem(Altered, StateIds.X64Msr(0x4b56_4d99), new byte[8])));
        Assert.StartsWith("vCPU 1 LAPIC: not in the checkpoint, found ", Assert.Single(Refused(_saved.WithoutItem(Altered, StateIds.X64Lapic))), StringComparison.Ordinal);
        Assert.True(_saved.Vcpus[Altered].TryGet(StateIds.X64Xsave, out var xsave));
        Assert.StartsWith("vCPU 1 XSAVE: wanted ", Assert.Single(Refused(_saved.WithItem(Altered, StateIds.X64Xsave, new byte[xsave.Length + 64]))), StringComparison.Ordinal);
        var vm = _saved with { Vm = StateList.Create(_saved.Vm.Where(item => item.Id != StateIds.X64Pit2)) };
        Assert.StartsWith("VM PIT2: not in the checkpoint, found ", Assert.Single(Refused(vm)), StringComparison.Ordinal);
        Assert.False(HasSet);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_feature_that_the_host_does_not_have_is_named()
    {
        // KVM gives no guest SMX.
        Assert.Equal(["vCPU 1 cpuid.1.ecx.smx: wanted 0x01, found 0x00"], Refused(_saved.TurnCpuid(Altered, 1, register: 2, 1 << 6)));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void Addresses_that_are_wider_than_the_hosts_are_named()
    {
        var refusal = Assert.Single(Restore(_saved.TurnCpuid(Altered, 0x8000_0008, register: 0, 0x80)).Refusals);
        Assert.Equal("cpuid.80000008.eax.physical_address_bits", refusal.Register);
        Assert.Equal(refusal.Wanted.Span[0], refusal.Found.Span[0] | 0x80);

        // KVM takes 48 and 57 bits of linear addresses and no others: the machine can't even be built.
        refusal = Assert.Single(Restore(_saved.TurnCpuid(Altered, 0x8000_0008, register: 0, 0x8000)).Refusals);
        Assert.Equal("cpuid.80000008.eax.linear_address_bits", refusal.Register);
        Assert.False(HasRun);
    }

    [ContractFact]
    public void A_table_that_is_not_made_of_entries_is_refused_as_a_whole()
    {
        var described = _saved.Machine.Vcpus[Altered];
        var cut = _saved with { Machine = _saved.Machine with { Vcpus = _saved.Machine.Vcpus.SetItem(Altered, described with { Features = described.Features[..^1] }) } };
        Assert.Equal("CPUID", Assert.Single(Restore(cut).Refusals).Register);
    }

    [ContractFact]
    public void Everything_that_is_refused_is_named_at_once()
    {
        var (altered, _, _) = _saved.TurnCpuid(0, 1, register: 2, 1 << 6).Turn(0, "cr4", 1UL << 31);
        (altered, _, _) = altered.Turn(Altered, "IA32_LSTAR", 1UL << 63);
        (altered, _, _) = altered.Turn(Altered, "dr7", 1UL << 40);
        Assert.Equal(
            ["0 cpuid.1.ecx.smx", "0 cr4", "1 IA32_LSTAR", "1 dr7"],
            Restore(altered).Refusals.Select(refusal => $"{refusal.Vcpu} {refusal.Register}").Order(StringComparer.Ordinal));
        Assert.False(HasRun);
    }

    [ContractFact]
    public void What_a_policy_lets_a_host_lack_is_a_lenience()
    {
        foreach (var rule in (ReadOnlySpan<string>)["cpuid.1.ecx.smx", "cpuid.1.*", "CPUID"])
        {
            var policy = new RegisterPolicy("lenient", [new RegisterRule(rule, RegisterAction.MayBeMissing, "A test."), .. RegisterPolicy.Strict.Rules]);
            var report = Restore(_saved.TurnCpuid(Altered, 1, register: 2, 1 << 6), policy);
            Assert.Equal([], report.Refusals.Select(refusal => refusal.ToString()));
            Assert.Contains("cpuid.1.ecx.smx", report.Leniences);
        }
    }

    private List<string> Refused(StateDocument document) => [.. Restore(document).Refusals.Select(refusal => refusal.ToString())];

    private RestoreReport Restore(StateDocument document, RegisterPolicy? policy = null)
    {
        var kvm = new WatchedKvm(_kvm, _calls.Add);
        try
        {
            using var machine = MachineBuilder.Create(kvm, document.Machine);
            return machine.Restore(document, ClockPolicy.Freeze, default, default, policy);
        }
        catch (Exception failure) when (failure is KvmException or ArgumentException)
        {
            return new RestoreReport(MachineBuilder.RefusalsBehind(kvm, document.Machine, failure), []);
        }
        finally
        {
            Assert.Empty(kvm.Open);
        }
    }
}

[NeedsKvm]
[Collection(MachineCollection.Name)]
public sealed class LinuxAlteredStateTests() : AlteredStateContract(SystemHandle.Open())
{
    [ContractFact]
    public void A_table_that_the_kernel_refuses_for_another_reason_is_refused_by_its_leaf()
    {
        using var kvm = SystemHandle.Open();
        var description = X64Machine.Describe(kvm, 1, 1 << 20, InterruptChip.Full);
        var document = new StateDocument(description, StateList.Empty, [StateList.Empty], []);
        // 40 bits of linear addresses: fewer than the host has, and KVM takes 48 and 57 alone.
        var altered = document.TurnCpuid(0, 0x8000_0008, register: 0, (48 ^ 40) << 8).Machine;
        var failure = Assert.Throws<KvmException>(() => X64Machine.Create(kvm, altered));
        var refusal = Assert.Single(MachineBuilder.RefusalsBehind(kvm, altered, failure));
        Assert.Equal(("cpuid.80000008", Errno.EINVAL, 16, 16), (refusal.Register, refusal.Errno, refusal.Wanted.Length, refusal.Found.Length));
    }
}

public sealed class SimulatedAlteredStateTests() : AlteredStateContract(new SimulatedKvm());

public sealed class SimulatedManyRegsAlteredStateTests() : AlteredStateContract(new SimulatedKvm(new() { ManyRegs = SimulatedManyRegs.Present, Sregs2 = false }));
