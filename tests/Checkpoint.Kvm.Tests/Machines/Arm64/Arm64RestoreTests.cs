using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
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
}
