using Checkpoint.Actors;
using Checkpoint.Actors.Faults;
using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>The kernel that machines of one command are made in: KVM of this host, or a simulated one.</summary>
/// <param name="kvm">Its calls; they belong to this object.</param>
/// <param name="architecture">The architecture of its machines.</param>
/// <param name="seed">What a simulated kernel draws its random numbers from; null for KVM.</param>
/// <param name="batching">How registers with ids are to travel; null for the best way.</param>
/// <param name="faults">What is to go wrong in it; null for nothing.</param>
internal sealed class Kernel(IKvm kvm, MachineArchitecture architecture, ulong? seed, RegisterBatching? batching, FaultPlan? faults = null) : IDisposable
{
    /// <summary>The name of machines that KVM runs.</summary>
    public const string OfKvm = "kvm";

    /// <summary>The name of machines that are simulated.</summary>
    public const string Simulated = "sim";

    public IKvm Kvm { get; } = faults is null ? kvm : new FaultyKvm(kvm, faults);

    /// <summary>What is to go wrong in it; null for nothing.</summary>
    public FaultPlan? Faults => faults;

    public MachineArchitecture Architecture => architecture;

    public RegisterBatching? Batching => batching;

    /// <summary>What a simulated kernel draws its random numbers from; null for KVM.</summary>
    public ulong? Seed => seed;

    public bool IsSimulated => seed is not null;

    /// <summary>The kind as options and JSON have it.</summary>
    public string Kind => IsSimulated ? Simulated : OfKvm;

    /// <summary>The kind in a sentence for a person: a guest runs on this.</summary>
    public string Description => IsSimulated ? $"a simulated {Words.Of(architecture)} machine" : "KVM";

    /// <summary>What of the program belongs to each checkpoint of the guest.</summary>
    public IReadOnlyList<IDeviceState> DevicesOf(GuestMachine guest)
    {
        IDeviceState device = new GuestDevice(guest);
        // Only where a fault is about it: what may hang is captured on another thread.
        if (faults is not null && faults.IsAbout(FaultCalls.DeviceCapture))
            device = FaultyDevice.Decorate(device, faults);
        return seed is { } known ? [device, new SimulationMark(known)] : [device];
    }

    /// <summary>The answer to the guest's exits.</summary>
    public IExitHandler ExitsOf(GuestMachine guest) => faults is null ? guest : new FaultyExitHandler(guest, faults);

    public void Dispose() => kvm.Dispose();
}
