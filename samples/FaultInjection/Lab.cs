using Checkpoint.Actors;
using Checkpoint.Actors.Faults;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;

namespace FaultInjection;

/// <summary>
/// A kernel and a store that go wrong as the plan says, and the tool's handler on top. The kernel is KVM of this host where there
/// is one and it is asked for, otherwise a simulated one: the tests do not see the difference.
/// </summary>
internal sealed class Lab : IAsyncDisposable
{
    public const int Vcpus = 2;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("fault-injection-");

    public Lab(bool onKvm = false)
    {
        Kvm = new FaultyKvm(onKvm ? SystemHandle.Open() : new SimulatedKvm(new SimulatedKvmOptions()), Faults);
        Engine = CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(_folder.FullName, "store.db")) { Faults = Faults }, null, Deadlines);
        // A machine of your own is built with X64Machine.Create, or from your file descriptors: docs/EMBEDDING.md.
        Guest = GuestMachine.Create(Kvm, GuestKind.Ledger, new GuestOptions { Vcpus = Vcpus, Seed = 1, ExitEverySteps = 1 << 10 });
        Exits = new MeteredExits(Guest, Vcpus);
    }

    /// <summary>What goes wrong: nothing, until a test says so.</summary>
    public FaultPlan Faults { get; } = new(seed: 7);

    public FaultyKvm Kvm { get; }

    public CheckpointEngine Engine { get; }

    public GuestMachine Guest { get; }

    public MeteredExits Exits { get; }

    /// <summary>Long enough for a loaded host. A test about a deadline sets a short one.</summary>
    public static CoordinatorOptions Deadlines { get; } = new()
    {
        ParkDeadline = TimeSpan.FromSeconds(20),
        CaptureDeadline = TimeSpan.FromSeconds(20),
        ResumeDeadline = TimeSpan.FromSeconds(20),
    };

    public async Task<AttachedMachine> StartAsync(CoordinatorOptions? options = null)
    {
        var machine = await Engine.AttachAsync("tool-1", new MachineAttachment(Guest.Machine, new FaultyExitHandler(Exits, Faults))
        {
            Devices = [new GuestDevice(Guest), FaultyDevice.Decorate(Exits, Faults)],
            Options = options ?? Deadlines,
        });
        machine.Start();
        return machine;
    }

    /// <summary>Waits until each vCPU has made exits since.</summary>
    public async Task EverybodyGoesOnAsync()
    {
        var before = Enumerable.Range(0, Vcpus).Select(Exits.UsedBy).ToList();
        for (var i = 0; i < 30_000 && !Enumerable.Range(0, Vcpus).All(vcpu => Exits.UsedBy(vcpu) > before[vcpu]); i++)
            await Task.Delay(1);
        Assert.All(Enumerable.Range(0, Vcpus), vcpu => Assert.True(Exits.UsedBy(vcpu) > before[vcpu], $"vCPU {vcpu} stands still"));
    }

    public async ValueTask DisposeAsync()
    {
        Faults.Disarm();
        await Engine.DisposeAsync();
        Guest.Dispose();
        Kvm.Dispose();
        _folder.Delete(recursive: true);
    }

    private sealed class GuestDevice(GuestMachine guest) : IDeviceState
    {
        public string Name => GuestMachine.DeviceName;

        // What the exit handler has left in memory is copied, nothing more.
        public bool CapturesAtOnce => true;

        public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
    }
}
