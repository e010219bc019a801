using Checkpoint.Kvm.Device;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Simulation.Workload;

namespace Checkpoint.Simulation.Kernel;

/// <summary>What the simulation knows of one VM of the simulated kernel.</summary>
internal sealed class MachineProbe
{
    private readonly long[] _ranAtUs;
    private readonly bool[] _isBroken;
    private readonly ProbedVcpu[] _vcpus;

    public MachineProbe(World world, SimulatedProcess process, Tenant tenant)
    {
        World = world;
        Process = process;
        Tenant = tenant;
        var vcpus = tenant.Shape.Guest.Vcpus;
        _ranAtUs = new long[vcpus];
        _isBroken = new bool[vcpus];
        _vcpus = new ProbedVcpu[vcpus];
        Name = world.Register(this);
    }

    public World World { get; }

    public SimulatedProcess Process { get; }

    /// <summary>The machine whose VM it is, or was.</summary>
    public Tenant Tenant { get; }

    public string Vm => Tenant.Name;

    /// <summary>What the rules of faults call this VM: a machine may have several at a time.</summary>
    public string Name { get; }

    /// <summary>Its memory, past everything that goes wrong.</summary>
    public IGuestMemory? Memory { get; set; }

    /// <summary>Its vCPUs, past everything that goes wrong.</summary>
    public IReadOnlyList<ProbedVcpu> Vcpus => _vcpus;

    /// <summary>Whether it is being filled from a checkpoint.</summary>
    public bool IsBeingRestored { get; set; }

    /// <summary>Whether nothing goes wrong in it: somebody only looks at it, or it runs under another name and what goes wrong is the other machine's.</summary>
    public bool IsSpared { get; set; }

    /// <summary>How many VM handles are open.</summary>
    public int Open { get; set; }

    /// <summary>When a vCPU has last entered the guest.</summary>
    public long RanAtUs(int vcpu) => _ranAtUs[vcpu];

    /// <summary>Whether a fault has ended a vCPU or keeps it for ever.</summary>
    public bool IsBroken(int vcpu) => _isBroken[vcpu];

    public void Break(int vcpu) => _isBroken[vcpu] = true;

    /// <summary>The whole VM is gone.</summary>
    public void BreakAll() => Array.Fill(_isBroken, true);

    public void NoteRun(int vcpu) => _ranAtUs[vcpu] = World.Scheduler.NowUs;

    public void Add(ProbedVcpu vcpu) => _vcpus[vcpu.Index] = vcpu;

    /// <summary>Where its machine's round stands, or that it is being restored; null: nothing is to go wrong in it.</summary>
    public Stage? Stage => IsSpared ? null : IsBeingRestored ? Faults.Stage.Restoring : Tenant.Stage;
}
