using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

[Collection(MachineCollection.Name)]
public sealed class X64RestoreTests
{
    // Of the host's time, not of the machine's state.
    private static readonly string[] s_goOn =
    [
        "IA32_TSC", "IA32_MPERF", "IA32_APERF", "HV_X64_TIME_REF_COUNT", "HV_X64_VP_RUNTIME", "lapic.tmcct", "clock", "clock.flags",
        "clock.realtime", "clock.host_tsc", "pit0.count_load_time", "pit1.count_load_time", "pit2.count_load_time",
    ];

    [KvmTheory]
    [InlineData(GuestKind.Counter, 2, InterruptChip.Full)]
    [InlineData(GuestKind.Counter, 2, InterruptChip.Split)]
    [InlineData(GuestKind.Counter, 1, InterruptChip.None)]
    [InlineData(GuestKind.Ledger, 4, InterruptChip.Full)]
    [InlineData(GuestKind.Ledger, 1, InterruptChip.Split)]
    [InlineData(GuestKind.Ledger, 3, InterruptChip.None)]
    public void What_was_saved_and_restored_is_saved_the_same_and_runs_on(GuestKind kind, int vcpus, InterruptChip chip)
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, kind, new GuestOptions { Vcpus = vcpus, Seed = 7 }, chip);
        RunGuest.For(guest, exits: 5);
        var saved = RunGuest.Capture(guest.Machine);

        using var fresh = X64Machine.Create(kvm, saved.Machine);
        CopyMemory(guest.Machine, fresh);
        Assert.Equal([], Refusals(fresh, saved));

        var again = RunGuest.Capture(fresh);
        AssertSame(saved.Vm, again.Vm);
        for (var i = 0; i < vcpus; i++)
            AssertSame(saved.Vcpus[i], again.Vcpus[i]);

        // The counter carries its n in x87 and vector registers too: verified here, and after running on.
        using var restored = GuestMachine.Restore(fresh, guest.CaptureDevice().Span);
        var at = restored.Verify();
        Assert.Equal([], at.Failures);
        Assert.All(at.Steps, steps => Assert.NotEqual(0ul, steps));
        RunGuest.For(restored, exits: 3);
        Assert.Equal([], restored.Verify().FailuresSince(at));
    }

    [KvmTheory]
    [InlineData(RegisterBatching.Msrs)]
    [InlineData(RegisterBatching.OneReg)]
    public void The_tsc_is_the_first_msr_that_is_set_and_its_deadline_the_last(RegisterBatching batching)
    {
        using var system = SystemHandle.Open();
        using var guest = GuestMachine.Create(system, GuestKind.Ledger, new GuestOptions { Vcpus = 1 });
        var saved = RunGuest.Capture(guest.Machine);
        // Whether this host offers both or not: what is in the state is set.
        var state = With(saved.Vcpus[0], StateIds.X64Msr(0x10), new byte[8]);
        state = With(state, StateIds.X64Msr(0x6e0), new byte[8]);

        using var kvm = new WatchedKvm(system, _ => { });
        using var fresh = X64Machine.Create(kvm, saved.Machine, batching);
        fresh.Restore(saved with { Vcpus = [state] }, ClockPolicy.Freeze, default, default);
        // EFER is written as an MSR once more after SREGS, to hear what of it the vCPU does not have.
        var order = kvm.MsrsSet.Where(msr => msr != 0xc000_0080).Distinct().ToList();
        Assert.Equal(0x10u, order[0]);
        Assert.Equal(0x6e0u, order[^1]);
        Assert.Equal(state.Where(item => (item.Id >> 32) == (StateIds.X64MsrBase >> 32)).Select(item => (uint)item.Id).Order(), order.Order());
    }

    [KvmFact]
    public void An_msr_value_that_the_kernel_refuses_is_named_once_and_the_others_are_set()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2 });
        RunGuest.For(guest, exits: 2);
        var saved = RunGuest.Capture(guest.Machine);
        const ulong asyncPageFaults = StateIds.X64MsrBase | 0x4b56_4d02;
        // Bits 4 and 5 are reserved (Documentation/virt/kvm/x86/msr.rst).
        var wrong = With(saved.Vcpus[1], asyncPageFaults, [0x30, 0, 0, 0, 0, 0, 0, 0]);
        using var fresh = X64Machine.Create(kvm, saved.Machine);
        var refusals = fresh.Restore(saved with { Vcpus = [saved.Vcpus[0], wrong] }, ClockPolicy.Freeze, default, default).Refusals;
        Assert.Equal(
            [$"vCPU 1 KVM_ASYNC_PF_EN: wanted 0x0000000000000030, found 0x0000000000000000, refused with EINVAL; {refusals[0].BatchSize - 1} of {refusals[0].BatchSize} written"],
            refusals.Select(each => each.ToString()));
        Assert.Equal((1, asyncPageFaults, Errno.EINVAL), (refusals[0].Vcpu, refusals[0].Id, refusals[0].Errno));
        AssertSame(saved.Vcpus[0], RunGuest.Capture(fresh).Vcpus[0]);
    }

    [KvmFact]
    public void A_register_that_reads_back_otherwise_is_named_with_both_values()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2 });
        var saved = RunGuest.Capture(guest.Machine);
        Assert.True(saved.Vcpus[1].TryGet(StateIds.X64Regs, out var regs));
        // Bit 1 of RFLAGS is always set: the kernel takes 0 and sets it.
        var altered = regs.ToArray();
        altered.AsSpan(17 * 8, 8).Clear();
        using var fresh = X64Machine.Create(kvm, saved.Machine);
        var refusals = Refusals(fresh, saved with { Vcpus = [saved.Vcpus[0], With(saved.Vcpus[1], StateIds.X64Regs, altered)] });
        Assert.Equal(["vCPU 1 rflags: wanted 0x0000000000000000, found 0x0000000000000002"], refusals);
    }

    [KvmFact]
    public void What_the_checkpoint_lacks_and_what_this_host_lacks_are_named()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1 });
        var saved = RunGuest.Capture(guest.Machine);
        const ulong unknownMsr = StateIds.X64MsrBase | 0x4b56_4d99;
        const ulong unknownGroup = StateIds.X64GroupBase | 0xfff;
        var without = saved.Vcpus[0].Where(item => item.Id is not (StateIds.X64Lapic or (StateIds.X64MsrBase | 0x277)));
        var state = StateList.Create([.. without, new StateItem(unknownMsr, new byte[8]), new StateItem(unknownGroup, new byte[] { 1, 2 })]);
        var vm = StateList.Create(saved.Vm.Where(item => item.Id != StateIds.X64Pit2));
        using var fresh = X64Machine.Create(kvm, saved.Machine);
        var refusals = Refusals(fresh, saved with { Vcpus = [state], Vm = vm });
        Assert.Equal(
            [
                "VM PIT2: not in the checkpoint",
                "vCPU 0 0xf200000000000fff: wanted 0x0201, this host does not have it",
                "vCPU 0 IA32_PAT: not in the checkpoint",
                "vCPU 0 LAPIC: not in the checkpoint",
                "vCPU 0 MSR 0x4b564d99: wanted 0x0000000000000000, this host does not have it",
            ],
            refusals.Select(each => each.Split(", found")[0]).Order(StringComparer.Ordinal));
    }

    [KvmFact]
    public void A_group_of_another_size_is_named_and_not_set()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1 });
        var saved = RunGuest.Capture(guest.Machine);
        saved.Vcpus[0].TryGet(StateIds.X64Xsave, out var xsave);
        var larger = new byte[xsave.Length + 64];
        using var fresh = X64Machine.Create(kvm, saved.Machine);
        var refusal = Assert.Single(fresh.Restore(
            saved with { Vcpus = [With(saved.Vcpus[0], StateIds.X64Xsave, larger)] }, ClockPolicy.Freeze, default, default).Refusals);
        Assert.Equal(("XSAVE", larger.Length, xsave.Length), (refusal.Register, refusal.Wanted.Length, refusal.Found.Length));
    }

    private static List<string> Refusals(X64Machine machine, StateDocument document) =>
        [.. machine.Restore(document, ClockPolicy.Freeze, default, default).Refusals.Select(refusal => refusal.ToString())];

    private static StateList With(StateList state, ulong id, byte[] value) =>
        StateList.Create(state.Where(item => item.Id != id).Append(new StateItem(id, value)));

    private static void CopyMemory(Machine from, Machine to)
    {
        foreach (var region in from.Memory.Regions)
            to.Memory.Write(region.GuestAddress, from.Memory.ReadBytes(region.GuestAddress, region.SizeBytes));
    }

    private static void AssertSame(StateList expected, StateList actual)
    {
        Assert.Equal(expected.Select(item => item.Id), actual.Select(item => item.Id));
        var different = new List<string>();
        for (var i = 0; i < expected.Count; i++)
        {
            var want = expected[i].Value.Span;
            var have = actual[i].Value.Span;
            Assert.Equal(want.Length, have.Length);
            for (var at = 0; at < want.Length; at++)
            {
                if (want[at] != have[at])
                    different.Add(RegisterNames.NameAt(expected[i].Id, at));
            }
        }

        Assert.Equal([], different.Distinct().Except(s_goOn));
    }
}
