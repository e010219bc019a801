using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

public sealed class Arm64RefusalTests
{
    [Theory]
    [InlineData(SimulatedManyRegs.Absent)]
    [InlineData(SimulatedManyRegs.Present)]
    public void A_refused_register_is_named_with_both_values_and_how_many_were_written(SimulatedManyRegs manyRegs)
    {
        var id = Arm64SystemRegisters.IdOf("TCR_EL1");
        using var plain = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 });
        using var machine = Arm64Machine.Create(plain, Arm64Machine.Describe(plain, 2, 1 << 20));
        var saved = RunGuest.Capture(machine);
        var altered = saved.WithItem(1, id, [0, 0, 0, 0, 1, 0, 0, 0]);

        using var refusing = new SimulatedKvm(new()
        {
            Architecture = MachineArchitecture.Arm64,
            ManyRegs = manyRegs,
            Rules = [new SimulatedRegisterRule(id, SimulatedRegisterBehaviour.Refuses) { Vcpu = 1 }],
        });
        using var fresh = MachineBuilder.Create(refusing, altered.Machine);
        var refusal = Assert.Single(fresh.Restore(altered, ClockPolicy.Freeze, default, default).Refusals);
        Assert.InRange(refusal.BatchSize, 100, saved.Vcpus[1].Count);
        Assert.Equal(
            $"vCPU 1 TCR_EL1: wanted 0x0000000100000000, found 0x0000000000000000, refused with EINVAL; {refusal.BatchSize - 1} of {refusal.BatchSize} written",
            refusal.ToString());
    }
}
