using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests;

/// <summary>KVM, a store of its own, and an engine on it; all gone when the test is over.</summary>
internal sealed class Bench : IAsyncDisposable
{
    /// <summary>The name of the machine that most tests attach.</summary>
    public const string Vm = "a";

    private readonly EngineUnderTest _under;
    private readonly string _folder = Directory.CreateTempSubdirectory("checkpoint-test-").FullName;

    private Bench(bool isOnDisk, TimeProvider? time, IKvm? host)
    {
        var segments = Path.Combine(_folder, "segments");
        Options = EngineUnderTest.NeedsDisk || isOnDisk ? new StoreOptions("sqlite:" + Path.Combine(_folder, "store.db"), segments) : new StoreOptions("memory:", segments);
        MachineFolder = Path.Combine(segments, Vm);
        Host = host ?? SystemHandle.Open();
        _under = EngineUnderTest.Open(Options, time);
    }

    public StoreOptions Options { get; }

    /// <summary>Where the machines are built.</summary>
    public IKvm Host { get; }

    /// <summary>The host's own KVM, where that is what the machines are built on.</summary>
    public SystemHandle Kvm => (SystemHandle)Host;

    public CheckpointEngine Engine => _under.Engine;

    /// <summary>Where the segments of <see cref="Vm"/> lie.</summary>
    public string MachineFolder { get; }

    /// <summary>The names of the files there.</summary>
    public string[] SegmentFiles =>
        Directory.Exists(MachineFolder) ? [.. Directory.GetFiles(MachineFolder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)] : [];

    /// <param name="isOnDisk">Whether the journal is a database on a disk.</param>
    /// <param name="time">The clock; the system's where none is given.</param>
    /// <param name="host">Where to build machines, which is then this object's to dispose of; the host's own KVM where none is given.</param>
    public static Bench Open(bool isOnDisk = false, TimeProvider? time = null, IKvm? host = null) => new(isOnDisk, time, host);

    /// <summary>Two vCPUs passing tokens, unless said otherwise.</summary>
    public GuestMachine Guest(GuestKind kind = GuestKind.Ledger, int vcpus = 2, InterruptChip chip = InterruptChip.Full, ulong? exitEvery = null, ulong seed = 42) =>
        GuestMachine.Create(Kvm, kind, new GuestOptions { Vcpus = vcpus, Seed = seed, ExitEverySteps = exitEvery }, chip);

    public Task<AttachedMachine> AttachAsync(
        GuestMachine guest,
        CoordinatorOptions? options = null,
        IExitHandler? exits = null,
        IEnumerable<IDeviceState>? devices = null,
        RestoredMachine? from = null,
        string vm = Vm) =>
        Engine.AttachAsync(vm, new MachineAttachment(guest.Machine, exits ?? guest)
        {
            Devices = [new GuestDevice(guest), .. devices ?? []],
            Options = options ?? Patient(),
            RestoredFrom = from,
        });

    /// <summary>Deadlines that only a hang reaches, however loaded the host is.</summary>
    public static CoordinatorOptions Patient(int? keep = null) => new()
    {
        ParkDeadline = TimeSpan.FromSeconds(20),
        CaptureDeadline = TimeSpan.FromSeconds(20),
        ResumeDeadline = TimeSpan.FromSeconds(20),
        Keep = keep,
    };

    public Task<RestoredMachine> RestoreAsync(long number, string vm = Vm, MemoryFill fill = MemoryFill.Auto) =>
        Engine.RestoreAsync(Host, new CheckpointReference.Numbered(vm, number), new RestoreOptions { Fill = fill });

    /// <summary>Brings a checkpoint back, verifies it, lets it run and verifies again.</summary>
    public async Task RestoreAndRunOnAsync(long number)
    {
        using var restored = await RestoreAsync(number);
        var guest = GuestOf(restored);
        var at = guest.Verify(restored.Document.Vcpus);
        Assert.Equal([], at.Failures);
        var exits = new ExitProbe(guest, guest.Machine.Vcpus.Length);
        await using var running = await Engine.RunAsync(restored, new MachineAttachment(guest.Machine, exits) { Devices = [new GuestDevice(guest)] });
        running.Start();
        var stuck = await Record.ExceptionAsync(exits.AllVcpusGoOnAsync);
        await running.StopAsync();

        // What the guest found out first: it says more than that it stands still.
        Assert.Equal([], guest.Verify().FailuresSince(at));
        Assert.Null(stuck);
    }

    public static GuestMachine GuestOf(RestoredMachine restored) =>
        GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);

    /// <summary>What the machine's journal says.</summary>
    public async Task<List<MachineEvent>> EventsAsync(string vm = Vm)
    {
        var events = new List<MachineEvent>();
        await foreach (var stored in EventStream.ReadAsync(Engine.Store.Journal, vm, JournalHead.Empty))
            events.Add(stored.Entry.Event);
        return events;
    }

    /// <summary>Nothing is stored but what the live checkpoints name.</summary>
    public async Task AssertNothingElseIsStoredAsync()
    {
        var live = (await Engine.Store.RecoverAsync(Vm)).Live;
        Assert.Equal(live.Values.Select(each => each.Segment!.Name), SegmentFiles);
        Assert.Equal(live.Keys, await Engine.Store.Journal.ListStateDocumentsAsync(Vm));
    }

    public static async Task<MachineEvent.CheckpointCommitted> CommittedAsync(AttachedMachine machine, string? label = null)
    {
        var outcome = await machine.CheckpointAsync(label).WaitAsync(TimeSpan.FromSeconds(60));
        return Assert.IsType<CheckpointOutcome.Committed>(outcome).Checkpoint;
    }

    public async ValueTask DisposeAsync()
    {
        await _under.DisposeAsync();
        Host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
