using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Machines;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests;

/// <summary>A kernel that refuses one register of a checkpoint.</summary>
public sealed class RefusedRegisterTests
{
    private const string Vm = "a";

    [Theory]
    [InlineData(RegisterBatching.ManyRegs, SimulatedManyRegs.Present)]
    [InlineData(RegisterBatching.ManyRegs, SimulatedManyRegs.Counting)]
    [InlineData(RegisterBatching.OneReg, SimulatedManyRegs.Absent)]
    public async Task Each_arm64_register_that_is_refused_is_named_and_the_new_machine_is_discarded(RegisterBatching batching, SimulatedManyRegs manyRegs)
    {
        var options = new SimulatedKvmOptions
        {
            Architecture = MachineArchitecture.Arm64, ManyRegs = manyRegs, Arm64 = new() { SveVectorLengths = 4, PointerAuthentication = true },
        };
        await using var engine = CheckpointEngine.Open(new StoreOptions("memory:"));
        var ids = await CheckpointAsync(engine, options);
        Assert.True(ids.Length > 250, $"{ids.Length} registers");
        foreach (var id in ids)
        {
            using var kvm = new SimulatedKvm(options with { Rules = [new(id, SimulatedRegisterBehaviour.Refuses)] });
            using var watched = new WatchedKvm(kvm, _ => { });
            if (id == Arm64Registers.SveLengths)
            {
                // It is set while the machine is built, before KVM_ARM_VCPU_FINALIZE.
                var failure = await Assert.ThrowsAsync<Kvm.Device.KvmException>(
                    () => engine.RestoreAsync(watched, new CheckpointReference.Latest(Vm), RegisterPolicy.Strict, batching: batching));
                Assert.Equal("KVM_SET_ONE_REG failed on vCPU 0 at sve_vls (0x606000000015ffff): EINVAL", failure.Message);
                Assert.Empty(watched.Open);
                continue;
            }

            var refused = await Assert.ThrowsAsync<RestoreRefusedException>(
                () => engine.RestoreAsync(watched, new CheckpointReference.Latest(Vm), RegisterPolicy.Strict, batching: batching));
            var refusal = Assert.Single(refused.Refusals);
            Assert.Equal((0, RegisterNames.NameOf(id), id, Kvm.Device.Errno.EINVAL), (refusal.Vcpu, refusal.Register, refusal.Id, refusal.Errno));
            Assert.Matches($"^vCPU 0 .*refused with EINVAL; {refusal.BatchSize - 1} of {refusal.BatchSize} written$", refusal.ToString());
            Assert.Empty(watched.Open);
        }
    }

    private static async Task<ulong[]> CheckpointAsync(CheckpointEngine engine, SimulatedKvmOptions options)
    {
        using var kvm = new SimulatedKvm(options);
        using var guest = GuestMachine.Create(
            kvm, GuestKind.Counter, new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = 1, MemoryBytes = 1 << 20, ExitEverySteps = 64 });
        await using var machine = await engine.AttachAsync(Vm, new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
        machine.Start();
        await Bench.CommittedAsync(machine);
        await machine.StopAsync();
        return guest.Machine.Vcpus[0].Vcpu.GetRegList();
    }
}
