using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;
using Checkpoint.Remote;

namespace Checkpoint.Actors.Tests.Arm64;

/// <summary>The engine on arm64's own KVM: running guests are checkpointed, and brought back in new machines.</summary>
[Collection(GuestCollection.Name)]
public sealed class RunningArm64Tests
{
    [Arm64Theory]
    [InlineData("neoverse-n1", true, GuestKind.Counter, 1)]
    [InlineData("neoverse-n1", true, GuestKind.Ledger, 4)]
    [InlineData("neoverse-n1", false, GuestKind.Ledger, 1)]
    [InlineData("a64fx", true, GuestKind.Counter, 1)]
    [InlineData("max", true, GuestKind.Ledger, 2)]
    [InlineData("cortex-a57", true, GuestKind.Counter, 2)]
    [InlineData("neoverse-n1", true, GuestKind.Timer, 1)]
    [InlineData("neoverse-n1", true, GuestKind.Timer, 4)]
    [InlineData("max", true, GuestKind.Timer, 2)]
    public async Task A_restored_guest_is_consistent_at_its_checkpoint_and_after_running_on(string cpu, bool hasManyRegs, GuestKind kind, int vcpus)
    {
        using var agent = AgentHost.StartArm64(cpu, vcpus, hasManyRegs);
        await using var bench = Bench.Open(host: RemoteKvm.Open(agent.Connection));
        var options = new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = vcpus, Seed = 42, ExitEverySteps = 1 << 10 };
        using (var guest = GuestMachine.Create(bench.Host, kind, options))
        {
            var exits = new ExitProbe(guest, vcpus);
            await using var machine = await bench.AttachAsync(guest, exits: exits);
            machine.Start();
            for (var number = 1; number <= 2; number++)
            {
                await exits.AllVcpusGoOnAsync();
                var committed = await Bench.CommittedAsync(machine);
                Assert.Equal((number, hasManyRegs ? "many-regs" : "one-reg"), (committed.Number, committed.Batching));
            }

            await exits.AllVcpusGoOnAsync();
            await machine.StopAsync();
            Assert.Equal([], guest.Verify().Failures);
        }

        for (var number = 1; number <= 2; number++)
            await bench.RestoreAndRunOnAsync(number);
    }
}
