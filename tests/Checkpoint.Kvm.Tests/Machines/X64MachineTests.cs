using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

[Collection(MachineCollection.Name)]
public sealed class X64MachineTests
{
    private const ulong GiB = 1UL << 30;

    [KvmFact]
    public void Memory_above_three_gib_lies_from_four_gib_on()
    {
        using var kvm = SystemHandle.Open();
        Assert.Equal([new MemoryRegion(0, 0, 0, 3 * GiB)], X64Machine.Describe(kvm, 1, 3 * GiB, InterruptChip.Full).Memory.ToArray());
        Assert.Equal(
            [new MemoryRegion(0, 0, 0, 3 * GiB), new MemoryRegion(1, 0, 4 * GiB, 4096)],
            X64Machine.Describe(kvm, 1, (3 * GiB) + 4096, InterruptChip.Full).Memory.ToArray());
        var description = X64Machine.Describe(kvm, 1, 5 * GiB, InterruptChip.Full);
        Assert.Equal(5 * GiB, description.MemoryBytes);

        // Memory is reserved, not used, so a large machine costs nothing until it is written.
        using var machine = X64Machine.Create(kvm, description);
        machine.Memory.Write((6 * GiB) - 8, [1, 2, 3, 4, 5, 6, 7, 8]);
        Assert.Throws<ArgumentOutOfRangeException>(() => machine.Memory.Write(3 * GiB, [1]));
    }

    [KvmFact]
    public void Each_vcpu_has_its_own_apic_id_in_its_cpuid()
    {
        using var kvm = SystemHandle.Open();
        var description = X64Machine.Describe(kvm, 3, 1 << 20, InterruptChip.Full);
        using var machine = X64Machine.Create(kvm, description);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal((uint)i, description.Vcpus[i].Id);
            var leaf = LeafOf(machine.Vcpus[i].Vcpu.GetCpuid().Span, 1);
            Assert.Equal(i, leaf[16 + 3]);
        }
    }

    [KvmTheory]
    [InlineData(InterruptChip.None, false, false)]
    [InlineData(InterruptChip.Split, true, false)]
    [InlineData(InterruptChip.Full, true, true)]
    public void The_state_holds_the_interrupt_chips_that_the_kernel_emulates(InterruptChip chip, bool localApic, bool all)
    {
        using var kvm = SystemHandle.Open();
        using var machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, 2, 1 << 20, chip));
        var saved = RunGuest.Capture(machine);
        Assert.All(saved.Vcpus, vcpu => Assert.Equal(localApic, vcpu.TryGet(StateIds.X64Lapic, out _)));
        foreach (var id in (ulong[])[StateIds.X64Pit2, StateIds.X64PicMaster, StateIds.X64PicSlave, StateIds.X64Ioapic])
            Assert.Equal(all, saved.Vm.TryGet(id, out _));
        Assert.True(saved.Vm.TryGet(StateIds.X64Clock, out _));
    }

    [KvmTheory]
    [InlineData(InterruptChip.None)]
    [InlineData(InterruptChip.Split)]
    [InlineData(InterruptChip.Full)]
    public void A_machine_that_never_ran_is_restored(InterruptChip chip)
    {
        using var kvm = SystemHandle.Open();
        using var machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, 2, 1 << 20, chip));
        using var fresh = X64Machine.Create(kvm, machine.Description);
        Assert.Equal([], fresh.Restore(RunGuest.Capture(machine), ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
    }

    [KvmFact]
    public void A_frozen_clock_goes_on_from_the_checkpoint_and_an_advanced_one_by_the_time_since()
    {
        using var kvm = SystemHandle.Open();
        using var machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, 1, 1 << 20, InterruptChip.Full));
        var takenAt = TimeProvider.System.GetUtcNow();
        var saved = RunGuest.Capture(machine);
        var atCheckpoint = machine.GuestClockNs!.Value;

        // A minute is for a loaded host; an hour is what the policies differ by.
        const long minute = 60_000_000_000;
        const long hour = 60 * minute;
        Assert.InRange(ClockAfter(ClockPolicy.Freeze, takenAt.AddHours(1)) - atCheckpoint, 0, minute);
        Assert.InRange(ClockAfter(ClockPolicy.Advance, takenAt.AddHours(1)) - atCheckpoint, hour - minute, hour + minute);
        Assert.InRange(ClockAfter(ClockPolicy.Advance, takenAt.AddHours(-1)) - atCheckpoint, 0, minute);

        long ClockAfter(ClockPolicy policy, DateTimeOffset now)
        {
            using var fresh = X64Machine.Create(kvm, saved.Machine);
            Assert.Empty(fresh.Restore(saved, policy, takenAt, now).Refusals);
            return fresh.GuestClockNs!.Value;
        }
    }

    [KvmTheory]
    [InlineData(InterruptChip.None)]
    [InlineData(InterruptChip.Split)]
    [InlineData(InterruptChip.Full)]
    public void A_failure_at_any_call_of_the_building_leaves_nothing_open(InterruptChip chip)
    {
        using var system = SystemHandle.Open();
        var description = X64Machine.Describe(system, 2, 1 << 20, chip);
        var calls = 0;
        using (var kvm = new WatchedKvm(system, _ => calls++))
        {
            var machine = X64Machine.Create(kvm, description);
            Assert.Equal(["vm", "memory", "vCPU 0", "vCPU 1"], kvm.Open);
            machine.Dispose();
            Assert.Empty(kvm.Open);
        }

        Assert.True(calls > 10);
        using var again = SystemHandle.Open();
        for (var failing = 1; failing <= calls; failing++)
        {
            var made = 0;
            var name = "";
            var kvm = new WatchedKvm(again, call =>
            {
                name = call;
                if (++made == failing)
                    throw new KvmException(call, Errno.EIO);
            });
            var refused = Assert.Throws<KvmException>(() => X64Machine.Create(kvm, description));
            Assert.Equal((name, Errno.EIO, failing), (refused.Request, refused.Errno, made));
            Assert.Empty(kvm.Open);
        }
    }

    [KvmFact]
    public void An_adopted_machine_is_described_by_the_cpuid_that_its_vcpus_have()
    {
        using var kvm = SystemHandle.Open();
        var description = X64Machine.Describe(kvm, 1, 1 << 20, InterruptChip.None);
        var vm = kvm.CreateVm();
        var memory = vm.CreateMemory([new MemoryRegion(5, 0, 0x10_0000, 1 << 20)]);
        var vcpu = vm.CreateVcpu(0, 0);
        vcpu.SetCpuid(X64Cpuid.ForVcpu(description.Vcpus[0].Features.Span, apicId: 7));
        Assert.Throws<ArgumentException>(() => X64Machine.Adopt(kvm, vm, memory, [], description));
        using var machine = X64Machine.Adopt(kvm, vm, memory, [vcpu], description);
        Assert.Equal(7, LeafOf(machine.Description.Vcpus[0].Features.Span, 1)[16 + 3]);
        Assert.Equal([new MemoryRegion(5, 0, 0x10_0000, 1 << 20)], machine.Description.Memory.ToArray());
    }

    [KvmFact]
    public void A_vcpu_begins_at_the_root_of_its_page_tables_or_without_paging_at_its_next_instruction()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 1 });
        var sregs = new byte[KvmRequests.GetSregs.ArgumentSize];
        guest.Machine.Vcpus[0].Vcpu.Get(KvmRequests.GetSregs, sregs);
        Assert.Equal(BinaryPrimitives.ReadUInt64LittleEndian(sregs.AsSpan(240)), guest.Machine.FirstTouched(RunGuest.Capture(guest.Machine)));

        // The reset vector: CS.base 0xffff0000, RIP 0xfff0.
        using var reset = X64Machine.Create(kvm, X64Machine.Describe(kvm, 1, 1 << 20, InterruptChip.None));
        var document = RunGuest.Capture(reset);
        Assert.Equal(0xffff_fff0UL, reset.FirstTouched(document));
        Assert.Null(reset.FirstTouched(document with { Vcpus = [StateList.Empty] }));
    }

    private static ReadOnlySpan<byte> LeafOf(ReadOnlySpan<byte> cpuid, uint function)
    {
        for (var offset = 0; offset < cpuid.Length; offset += X64Cpuid.EntrySize)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(cpuid[offset..]) == function)
                return cpuid.Slice(offset, X64Cpuid.EntrySize);
        }

        throw new Xunit.Sdk.XunitException($"CPUID has no leaf {function}.");
    }
}
