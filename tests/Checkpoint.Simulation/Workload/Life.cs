using Checkpoint.Actors;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Guests;

namespace Checkpoint.Simulation.Workload;

/// <summary>A machine attached to one engine, from its attachment to its end.</summary>
internal sealed class Life
{
    public Life(Tenant tenant, EngineProcess process, SimulatedGuest guest, AttachedMachine attached)
    {
        Tenant = tenant;
        Process = process;
        Guest = guest;
        Attached = attached;
        attached.RoundEnded += (_, outcome) => tenant.OnRoundEnded(this, outcome);
    }

    public Tenant Tenant { get; }

    public EngineProcess Process { get; }

    public SimulatedGuest Guest { get; }

    public AttachedMachine Attached { get; }

    /// <summary>Whether its vCPUs were started and have not been suspended or stopped since.</summary>
    public bool IsMeantToRun { get; private set; }

    /// <summary>Since when that is so.</summary>
    public long RunsSinceUs { get; set; }

    /// <summary>Whether somebody else owns its stream now, whether it knows or not.</summary>
    public bool HasLostOwnership { get; set; }

    /// <summary>Whether it has been told so, or cannot be checkpointed any more for another reason.</summary>
    public bool IsOver { get; set; }

    /// <summary>Whether it is checkpointed by a schedule.</summary>
    public bool HasSchedule { get; set; }

    /// <summary>Rounds in a row that came to nothing.</summary>
    public int Failures { get; set; }

    /// <summary>Where its round stands.</summary>
    public Stage Stage => (Attached.Coordinator as CoordinatorActor)?.Phase switch
    {
        RoundPhase.Preparing => Stage.Preparing,
        RoundPhase.ParkingVcpus => Stage.ParkingVcpus,
        RoundPhase.ParkingDevices => Stage.ParkingDevices,
        RoundPhase.Capturing => Stage.Capturing,
        RoundPhase.ResumingDevices => Stage.ResumingDevices,
        RoundPhase.ResumingVcpus => Stage.ResumingVcpus,
        RoundPhase.Storing => Stage.Storing,
        RoundPhase.Aborting => Stage.Aborting,
        RoundPhase.Appending => Stage.Appending,
        RoundPhase.Recovering => Stage.Recovering,
        _ => Stage.Idle,
    };

    public void Start()
    {
        Attached.Start();
        Guest.Dma?.Start();
        Runs();
    }

    /// <summary>Parks the vCPUs between rounds and lets them stay so.</summary>
    public async Task SuspendAsync()
    {
        IsMeantToRun = false;
        foreach (var vcpu in Vcpus())
            await vcpu.SuspendAsync().ConfigureAwait(false);
    }

    /// <summary>Lets them run again.</summary>
    public void GoOn()
    {
        foreach (var vcpu in Vcpus())
            vcpu.Run();
        Runs();
    }

    /// <summary>Detaches it; what a fault holds is left behind.</summary>
    public async Task StopAsync()
    {
        IsMeantToRun = false;
        IsOver = true;
        await Attached.DisposeAsync().ConfigureAwait(false);
        Guest.Dma?.Stop();
    }

    private IEnumerable<VcpuActor> Vcpus() => Attached.Coordinator.Host.Actors.OfType<VcpuActor>();

    private void Runs()
    {
        IsMeantToRun = true;
        RunsSinceUs = Tenant.World.Scheduler.NowUs;
    }
}
