using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

public sealed class Arm64RestoreTests
{
    [Theory]
    [InlineData(GuestKind.Counter, 1, 0)]
    [InlineData(GuestKind.Counter, 2, 4)]
    [InlineData(GuestKind.Ledger, 3, 0)]
    [InlineData(GuestKind.Ledger, 2, 4)]
    public void What_was_saved_and_restored_is_saved_the_same_and_runs_on(GuestKind kind, int vcpus, int sveLengths)
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, Arm64 = new() { SveVectorLengths = sveLengths } });
        var options = new GuestOptions
        {
            Architecture = MachineArchitecture.Arm64, Vcpus = vcpus, Seed = 7, ExitEverySteps = 64, WriteEverySteps = kind == GuestKind.Counter ? 16 : null,
        };
        using var guest = GuestMachine.Create(kvm, kind, options);
        RunGuest.For(guest, exits: 5);
        var saved = RunGuest.Capture(guest.Machine);
        Assert.Equal([], guest.Verify().Failures);

        using var fresh = MachineBuilder.Create(kvm, saved.Machine);
        fresh.Memory.Write(0, guest.Machine.Memory.ReadBytes(0, options.MemoryBytes));
        var report = fresh.Restore(saved, ClockPolicy.Freeze, default, default);
        Assert.Equal([], report.Refusals.Select(each => each.ToString()));
        Assert.Empty(report.Leniences.Except(["CNTVCT_EL0", "CNTPCT_EL0", "CNTV_CTL_EL0", "CNTP_CTL_EL0"]));

        using var restored = GuestMachine.Restore(fresh, guest.CaptureDevice().Span);
        var at = restored.Verify();
        Assert.Equal([], at.Failures);
        Assert.All(at.Steps, steps => Assert.NotEqual(0ul, steps));
        RunGuest.For(restored, exits: 3);
        Assert.Equal([], restored.Verify().FailuresSince(at));
    }

    [Fact]
    public void A_guest_with_sve_is_saved_by_its_z_registers()
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, Arm64 = new() { SveVectorLengths = 2 } });
        using var guest = GuestMachine.Create(
            kvm, GuestKind.Counter, new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = 1, ExitEverySteps = 64 });
        var ids = RunGuest.Capture(guest.Machine).Vcpus[0].Select(item => item.Id).ToHashSet();
        Assert.Contains(Arm64Registers.Z(15), ids);
        Assert.Contains(Arm64Registers.SveLengths, ids);
        Assert.DoesNotContain(Arm64Registers.V(15), ids);
    }

    [Fact]
    public void A_host_whose_counter_counts_otherwise_is_refused_by_name()
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 });
        var saved = Fresh(kvm);
        using var machine = MachineBuilder.Create(kvm, saved.Machine);
        var refusals = machine.Restore(saved with { Vm = WithHz(saved.Vm, 62_500_000) }, ClockPolicy.Freeze, default, default).Refusals;
        Assert.Equal("VM counter_hz: wanted 0x0000000003b9aca0, found 0x000000003b9aca00", Assert.Single(refusals).ToString());
    }

    [Theory]
    [InlineData(1.5, 1_500_000_000)]
    [InlineData(-3600, 0)]
    public void A_clock_that_advances_adds_the_time_that_passed_and_never_turns_back(double seconds, ulong ticks)
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 });
        var saved = Fresh(kvm);
        using var machine = MachineBuilder.Create(kvm, saved.Machine);
        var taken = DateTimeOffset.UnixEpoch;
        Assert.Empty(machine.Restore(saved, ClockPolicy.Advance, taken, taken + TimeSpan.FromSeconds(seconds)).Refusals);
        foreach (var counter in (string[])["CNTVCT_EL0", "CNTPCT_EL0"])
            Assert.Equal(CounterOf(saved, counter) + ticks, CounterOf(RunGuest.Capture(machine), counter));
    }

    [Fact]
    public void A_machine_that_somebody_else_built_is_taken_with_its_gic()
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 });
        var description = Arm64Machine.Describe(kvm, 1, 1 << 20, gic: new GicDescription(0x0800_0000, 0x0a00_0000, 64));
        var vm = kvm.CreateVm();
        var memory = vm.CreateMemory(description.Memory);
        IKvmDevice gic = vm.CreateDevice(7);
        var vcpu = vm.CreateVcpu(0, 0);
        vcpu.Set(KvmRequests.ArmVcpuInit, description.Vcpus[0].Features.Span);
        gic.SetAttribute(0, 2, 0x0800_0000);
        gic.SetAttribute(0, 3, 0x0a00_0000);
        gic.SetAttribute(3, 0, 64);
        gic.SetAttribute(4, 0, 0);
        Assert.Throws<ArgumentException>(() => Arm64Machine.Adopt(vm, memory, [vcpu], description));
        var other = description with { Gic = description.Gic! with { DistributorAddress = 0x0900_0000 } };
        Assert.Throws<ArgumentException>(() => Arm64Machine.Adopt(vm, memory, [vcpu], other, gic: gic));
        using var adopted = Arm64Machine.Adopt(vm, memory, [vcpu], description, gic: gic, counterHz: kvm.CounterHz);
        gic.SetAttribute((uint)GicPart.Redistributor, GicRegisters.Redistributor(0, "ipriorityr3").Offset, 0x1020_3040);
        var saved = RunGuest.Capture(adopted);

        using var machine = MachineBuilder.Create(kvm, saved.Machine);
        Assert.Empty(machine.Restore(saved, ClockPolicy.Freeze, default, default).Refusals);
        Assert.True(RunGuest.Capture(machine).Vm.TryGet(GicRegisters.Redistributor(0, "ipriorityr3").Id, out var priority));
        Assert.Equal(0x1020_3040u, BitConverter.ToUInt32(priority.Span));
    }

    [Fact]
    public void A_gic_without_its_description_and_a_chip_of_another_architecture_are_no_machines()
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 });
        var plain = Arm64Machine.Describe(kvm, 1, 1 << 20);
        var gic = new GicDescription(0x0800_0000, 0x0a00_0000, 64);
        foreach (var description in (MachineDescription[])[plain with { InterruptChip = InterruptChip.GicV3 }, plain with { Gic = gic }, plain with { InterruptChip = InterruptChip.Full }])
            Assert.Throws<ArgumentException>(() => MachineBuilder.Create(kvm, description));
        var refused = Assert.Throws<KvmException>(() => MachineBuilder.Create(kvm, plain with { InterruptChip = InterruptChip.GicV3, Gic = gic with { Interrupts = 33 } }));
        Assert.Equal(("KVM_SET_DEVICE_ATTR", Errno.EINVAL), (refused.Request, refused.Errno));
    }

    private static StateDocument Fresh(SimulatedKvm kvm)
    {
        using var machine = MachineBuilder.Create(kvm, Arm64Machine.Describe(kvm, 1, 1 << 20));
        return RunGuest.Capture(machine);
    }

    private static StateList WithHz(StateList vm, ulong hz) =>
        StateList.Create(vm.Select(item => item.Id == Arm64StateIds.CounterHz ? item with { Value = BitConverter.GetBytes(hz) } : item));

    private static ulong CounterOf(StateDocument document, string name) =>
        document.Vcpus[0].TryGet(Arm64SystemRegisters.IdOf(name), out var value) ? BitConverter.ToUInt64(value.Span) : throw new KeyNotFoundException(name);
}
