using Akka.Actor;
using Checkpoint.Actors.Tests;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

[Collection(GuestCollection.Name)]
public sealed class TwoHostsTests : IDisposable
{
    // More of them by CHECKPOINT_TURNS.
    private static readonly int s_turns = int.TryParse(Environment.GetEnvironmentVariable("CHECKPOINT_TURNS"), out var turns) ? turns : 10;
    private readonly TestFolder _folder = new();

    [KvmFact]
    public async Task What_each_host_in_turn_stored_in_one_file_is_verified_and_restored_by_both()
    {
        using var kvm = SystemHandle.Open();
        using (var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 42 }))
            await WithBuiltInAsync(engine => TakeAsync(engine, guest, null, from: 0));
        await WithActorSystemAsync(engine => GoOnAsync(engine, kvm, from: s_turns));
        await WithBuiltInAsync(engine => GoOnAsync(engine, kvm, from: 2 * s_turns));

        await WithBuiltInAsync(engine => AssertAllAsync(engine, kvm));
        await WithActorSystemAsync(engine => AssertAllAsync(engine, kvm));
    }

    public void Dispose() => _folder.Dispose();

    private async Task WithBuiltInAsync(Func<CheckpointEngine, Task> use)
    {
        await using var engine = CheckpointEngine.Open(_folder.Options);
        await use(engine);
    }

    private async Task WithActorSystemAsync(Func<CheckpointEngine, Task> use)
    {
        var system = ActorSystem.Create("two-hosts", SqlStore.Config(_folder.Options));
        await use(CheckpointExtension.Get(system).Engine);
        await system.Terminate();
        SqliteConnection.ClearAllPools();
    }

    private static async Task GoOnAsync(CheckpointEngine engine, SystemHandle kvm, long from)
    {
        using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Latest(Bench.Vm));
        Assert.Equal(from, restored.Checkpoint.Number);
        var guest = Bench.GuestOf(restored);
        var at = guest.Verify(restored.Document.Vcpus);
        await TakeAsync(engine, guest, restored, from);
        Assert.Equal([], guest.Verify().FailuresSince(at));
    }

    private static async Task TakeAsync(CheckpointEngine engine, GuestMachine guest, RestoredMachine? restored, long from)
    {
        await using var machine = await engine.AttachAsync(Bench.Vm, new MachineAttachment(guest.Machine, guest)
        {
            Devices = [new GuestDevice(guest)],
            Options = Bench.Patient(),
            RestoredFrom = restored,
        });
        machine.Start();
        for (var number = from + 1; number <= from + s_turns; number++)
        {
            var committed = await Bench.CommittedAsync(machine);
            Assert.Equal((number, number == 1 ? null : number - 1), (committed.Number, committed.Parent));
        }

        await machine.StopAsync();
    }

    private static async Task AssertAllAsync(CheckpointEngine engine, SystemHandle kvm)
    {
        var report = await engine.Store.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal((3L * s_turns, 3L * s_turns), (report.Checkpoints, report.Segments));
        ulong hops = 0;
        for (var number = 1; number <= 3 * s_turns; number++)
        {
            using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Numbered(Bench.Vm, number));
            var verdict = Bench.GuestOf(restored).Verify(restored.Document.Vcpus);
            Assert.Equal([], verdict.Failures);
            Assert.True(verdict.Hops >= hops, $"the hops went back at checkpoint {number}");
            hops = verdict.Hops;
        }
    }
}
