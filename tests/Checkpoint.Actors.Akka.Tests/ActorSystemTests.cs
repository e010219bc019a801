using Akka.Actor;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Akka.Tests;

/// <summary>An actor system with the engine on a store of its own, and machines on the simulated kernel: these tests need no KVM.</summary>
public abstract class ActorSystemTests : TestKit
{
    private const string Vm = "a";
    private readonly TestFolder _folder;

    protected ActorSystemTests(string more = "")
        : this(new TestFolder(), more)
    {
    }

    private ActorSystemTests(TestFolder folder, string more)
        : base(ConfigurationFactory.ParseString(more).WithFallback(SqlStore.Config(folder.Options)))
    {
        _folder = folder;
    }

    protected StoreOptions Options => _folder.Options;

    private protected SimulatedKvm Kvm { get; } = new(new SimulatedKvmOptions { ManyRegs = SimulatedManyRegs.Present });

    protected virtual CheckpointExtension Extension => CheckpointExtension.Get(Sys);

    protected static TimeSpan Patience { get; } = TimeSpan.FromSeconds(60);

    protected GuestMachine Guest(int vcpus = 1) => GuestMachine.Create(Kvm, GuestKind.Counter, new GuestOptions { Vcpus = vcpus, Seed = 7 });

    protected async Task<MachineAttached> AttachAsync(GuestMachine guest, CoordinatorOptions? options = null, params IDeviceState[] devices)
    {
        var attachment = new MachineAttachment(guest.Machine, guest)
        {
            Devices = [new GuestDevice(guest), .. devices],
            Options = options ?? Bench.Patient(),
        };
        return await Extension.Actor.Ask<MachineAttached>(new EngineCommand.AttachMachine(Vm, attachment), Patience);
    }

    protected static async Task<MachineEvent.CheckpointCommitted> CommittedAsync(IActorRef machine, string? label = null) =>
        Assert.IsType<CheckpointOutcome.Committed>(await TakeAsync(machine, label)).Checkpoint;

    protected static Task<CheckpointOutcome> TakeAsync(IActorRef machine, string? label = null) =>
        machine.Ask<CheckpointOutcome>(new MachineCommand.TakeCheckpoint(label), Patience);

    protected static Task<MachineReply> TellAsync(IActorRef machine, MachineCommand command) => machine.Ask<MachineReply>(command, Patience);

    protected IActorRef ChildOf(IActorRef machine, string name) =>
        Sys.ActorSelection(machine.Path / name).ResolveOne(Patience).GetAwaiter().GetResult();

    protected override void AfterAll()
    {
        base.AfterAll();
        SqliteConnection.ClearAllPools();
        Kvm.Dispose();
        _folder.Dispose();
    }
}

/// <summary>A folder with a store of its own.</summary>
internal sealed class TestFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("checkpoint-akka-test-").FullName;

    public StoreOptions Options => new("sqlite:" + Database);

    public string Database => Path.Combine(_path, "store.db");

    public void Dispose() => Directory.Delete(_path, recursive: true);
}
