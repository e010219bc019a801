using System.Globalization;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;
using FaultyDevice = Checkpoint.Actors.Faults.FaultyDevice;

namespace Checkpoint.Simulation.Guests;

/// <summary>One machine with its guest and devices in one process; it decides when its vCPUs, devices and store go on.</summary>
internal sealed class SimulatedGuest : IExitHandler, IDisposable, IPace
{
    private const long LongestIdleUs = 40_000;

    // One for each simulating thread: nobody ever waits for a place in it.
    [ThreadStatic]
    private static PagePool? t_pool;

    private readonly World _world;
    private readonly GuestMachine _guest;
    private readonly long[] _idleUs;

    private SimulatedGuest(World world, GuestShape shape, MachineProbe probe, GuestMachine guest, RestoredMachine? restored)
    {
        _world = world;
        Shape = shape;
        Probe = probe;
        _guest = guest;
        Restored = restored;
        _idleUs = new long[shape.Guest.Vcpus];
        if (shape.HasDma)
        {
            var count = restored is null ? 0 : DmaDevice.CountOf(restored.DeviceStateOf(DmaDevice.DeviceName).Span);
            Dma = new DmaDevice(shape.DmaAddress, probe, count);
        }
    }

    public GuestShape Shape { get; }

    public MachineProbe Probe { get; }

    public Machine Machine => _guest.Machine;

    public RestoredMachine? Restored { get; }

    public DmaDevice? Dma { get; }

    /// <summary>Whether a fault keeps a vCPU, a device or the machine for ever.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>A machine that begins anew.</summary>
    public static SimulatedGuest Create(World world, GuestShape shape, MachineProbe probe)
    {
        var kvm = shape.CreateKernel(world, probe);
        return new SimulatedGuest(world, shape, probe, GuestMachine.Create(kvm, GuestKind.Ledger, shape.Guest, shape.Chip), null);
    }

    /// <summary>A machine that was brought back.</summary>
    public static SimulatedGuest Of(World world, GuestShape shape, MachineProbe probe, RestoredMachine restored) =>
        new(world, shape, probe, GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span), restored);

    /// <summary>What is handed to the engine.</summary>
    public MachineAttachment ToAttachment() => new(_guest.Machine, new FaultyExitHandler(this, _world.Faults.Plan, Probe.Name))
    {
        Devices = [.. Devices()],
        Options = Shape.Options,
        Buffer = t_pool ??= new PagePool(1L << 30),
        RestoredFrom = Restored,
    };

    /// <summary>In what a machine that was brought back and has not run differs from its checkpoint; null: in nothing.</summary>
    public string? FirstDifference()
    {
        var comparison = new StateComparison(RegisterPolicy.Strict);
        for (var i = 0; i < Machine.Vcpus.Length; i++)
        {
            Machine.Vcpus[i].Capture();
            comparison.Add(i, Restored!.Document.Vcpus[i], Machine.Vcpus[i].ToStateList(), []);
        }

        return comparison.Report.Refusals is [var first, ..] ? first.ToString() : null;
    }

    /// <summary>Verifies the guest of a machine that has stopped.</summary>
    public GuestVerdict Verify() => _guest.Verify();

    public ExitAction Handle(int vcpu, in VcpuExit exit) => _guest.Handle(vcpu, exit);

    public Pause BeforeStep(string name, ActivityKind kind, bool isWoken)
    {
        // From within the deadlines to well behind them: all that the step does then comes late, not its report alone.
        if (!Probe.IsSpared && _world.Strikes(FaultKind.ThreadStarved, Probe.Vm))
            return new Pause(_world.Random.Between(2_000, 25_000), IsFirm: true);
        return kind switch
        {
            ActivityKind.Vcpu => BeforeVcpu(VcpuOf(name), isWoken),
            ActivityKind.Store => new Pause(_world.Random.Between(50, 900)),
            _ => new Pause(_world.Random.Between(1, 80)),
        };
    }

    public void OnStuck(string name, ActivityKind kind)
    {
        IsBroken = true;
        if (kind == ActivityKind.Vcpu)
            Probe.Break(VcpuOf(name));
    }

    public void Dispose()
    {
        Dma?.Stop();
        Machine.Dispose();
    }

    private static int VcpuOf(string name) => int.Parse(name.AsSpan("vcpu ".Length), CultureInfo.InvariantCulture);

    private IEnumerable<IDeviceState> Devices()
    {
        var device = new GuestDevice(_guest);
        yield return Shape.CapturesAtOnce ? device : Faulty(device);
        yield return new Oracle(_world, Probe);
        if (Dma is not null)
            yield return new ToldDevice((IDeviceParticipant)Faulty(Dma), Probe);
    }

    private IDeviceState Faulty(IDeviceState device) => FaultyDevice.Decorate(device, _world.Faults.Plan, Probe.Name);

    private Pause BeforeVcpu(int vcpu, bool isWoken)
    {
        var isIdle = Probe.Tenant.Stage is Stage.Idle or Stage.Recovering or Stage.Attaching or Stage.Restoring;
        if (isWoken || !isIdle)
        {
            _idleUs[vcpu] = 200;
            return new Pause(isWoken ? _world.Random.Between(1, 60) : _world.Random.Between(20, 250));
        }

        // A guest that nobody looks at runs in fewer and fewer steps: they cost time, and find nothing more.
        _idleUs[vcpu] = Math.Min(LongestIdleUs, _idleUs[vcpu] * 2);
        return new Pause(_world.Random.Between(_idleUs[vcpu] / 2, _idleUs[vcpu]));
    }

    private sealed class GuestDevice(GuestMachine guest) : IDeviceState
    {
        public string Name => GuestMachine.DeviceName;

        public bool CapturesAtOnce => true;

        public ReadOnlyMemory<byte> Capture() => guest.CaptureDevice();
    }
}
