using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Tests.Registers;

/// <summary>A simulated machine with one vCPU, some of whose calls go wrong.</summary>
internal sealed class FaultyVcpu : IDisposable
{
    private readonly GuestMachine _guest;

    public FaultyVcpu(SimulatedKvmOptions options)
    {
        Kvm = new FaultyKvm(new SimulatedKvm(options), Faults);
        _guest = GuestMachine.Create(Kvm, GuestKind.Counter, new GuestOptions { Architecture = options.Architecture, Vcpus = 1, Seed = 1, MemoryBytes = 2 << 20 });
    }

    public FaultPlan Faults { get; } = new();

    public IKvm Kvm { get; }

    public IVcpu Vcpu => _guest.Machine.Vcpus[0].Vcpu;

    public void Dispose()
    {
        Faults.Disarm();
        _guest.Dispose();
        Kvm.Dispose();
    }
}
