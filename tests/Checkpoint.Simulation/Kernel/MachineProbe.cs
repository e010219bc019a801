using Checkpoint.Kvm.Device;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Kernel;

/// <summary>What the simulation knows of one VM of the simulated kernel, and what goes wrong there.</summary>
internal sealed class MachineProbe(World world, SimulatedProcess process, string vm, int vcpus)
{
    private readonly long[] _ranAtUs = new long[vcpus];
    private readonly bool[] _isBroken = new bool[vcpus];

    public World World => world;

    public SimulatedProcess Process => process;

    public string Vm => vm;

    /// <summary>Whether it is being filled from a checkpoint.</summary>
    public bool IsBeingRestored { get; set; }

    /// <summary>Whether it runs under another name: what goes wrong is the other machine's.</summary>
    public bool IsCopy { get; set; }

    /// <summary>How many VM handles are open.</summary>
    public int Open { get; set; }

    /// <summary>When a vCPU has last entered the guest.</summary>
    public long RanAtUs(int vcpu) => _ranAtUs[vcpu];

    /// <summary>Whether a fault has ended a vCPU or keeps it for ever.</summary>
    public bool IsBroken(int vcpu) => _isBroken[vcpu];

    public void Break(int vcpu) => _isBroken[vcpu] = true;

    public void NoteRun(int vcpu) => _ranAtUs[vcpu] = world.Scheduler.NowUs;

    public bool Strikes(FaultKind kind) => !IsCopy && world.StrikesAt(kind, vm, IsBeingRestored);

    /// <summary>The kernel says no, if it is to.</summary>
    public void FailIf(FaultKind kind, in KvmRequest request, int errno, int? vcpu = null)
    {
        if (Strikes(kind))
            throw new KvmException(request.Name, errno, vcpu);
    }
}
