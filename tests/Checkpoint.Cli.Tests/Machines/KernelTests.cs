using Checkpoint.Cli.Machines;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Tests.Machines;

public sealed class KernelTests
{
    [Theory]
    [InlineData("device.*", true)]
    [InlineData("journal.*", false)]
    [InlineData("*", true)]
    public void The_guests_device_is_captured_elsewhere_only_where_a_fault_can_strike_it(string call, bool isElsewhere) =>
        Assert.Equal(isElsewhere, IsCapturedElsewhere(faults => faults.On(call).Hang()));

    [Fact]
    public void A_fault_that_cannot_happen_to_a_device_leaves_it_alone_though_its_name_means_all_calls() =>
        Assert.False(IsCapturedElsewhere(faults => faults.On("*").Die()));

    private static bool IsCapturedElsewhere(Action<FaultPlan> plan)
    {
        var faults = new FaultPlan();
        using var kvm = new SimulatedKvm(new SimulatedKvmOptions());
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 1, MemoryBytes = 2 << 20 });
        plan(faults);
        using var kernel = new Kernel(kvm, MachineArchitecture.X64, seed: 1, batching: null, faults);
        return !kernel.DevicesOf(guest)[0].CapturesAtOnce;
    }
}
