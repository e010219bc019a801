using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Simulation.Disk;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Invariants;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Simulation.Workload;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Simulation;

/// <summary>One history: processes with engines, machines, a disk, and what goes wrong with them.</summary>
internal sealed class World
{
    /// <summary>Where the segments are on the simulated disk.</summary>
    public const string SegmentsFolder = "/segments";

    private const int CheckpointsOfTheWhole = 3;

    private readonly List<SeenMoment> _moments = [];
    private readonly List<SimulatedProcess> _processes = [];
    private readonly Dictionary<string, MachineProbe> _probes = new(StringComparer.Ordinal);
    private readonly Invariant[] _invariants;
    private readonly HealthyMakeProgress _progress;
    private readonly EngineHasNoDefect _defects;

    public World(ulong seed, SimulationOptions options)
    {
        Options = options;
        Random = new SeededRandom(SeededRandom.Mix(seed ^ ((ulong)options.Mode << 60)));
        Scheduler = new Scheduler();
        History = new History(Scheduler, options.KeepsHistory);
        Disk = new SimulatedDisk(Random);
        Onlooker = CheckpointStore.Of(
            new SimulatedJournal(this, null),
            new SegmentStore(SegmentsFolder, new SimulatedFiles(this, null)),
            vm => throw new InvalidOperationException($"An onlooker does not lock '{vm}'."));
        Faults = new FaultSchedule(this, options.Rounds, options.Mode == SimulationMode.Plain);
        _progress = new HealthyMakeProgress(this);
        _defects = new EngineHasNoDefect(this);
        _invariants = [
            new AcknowledgedIsCommitted(this), new NumbersAreNew(this), new NamedPartsAreDurable(this), new NothingNamedIsDeleted(this),
            new PinnedStay(this), new NotTakenIsInvisible(this), new EachIsResumedOnce(this), new OneMoment(this),
            new DirtyPagesAreCarried(this), new AcknowledgedIsExact(this), new FailedRestoreLeavesNothing(this), new RestoredIsExact(this),
            new JournalIsTheState(this), new LocksAreGivenBack(this), new GuestsRunAgain(this), _progress, _defects];
        var count = options.Mode == SimulationMode.Liveness ? 2 : 1 + (Random.Chance(0.25) ? 1 : 0);
        Tenants = [.. Enumerable.Range(0, count).Select(i => new Tenant(this, $"vm{i}", GuestShape.Draw(Random), options.Rounds))];
    }

    public SimulationOptions Options { get; }

    public SeededRandom Random { get; }

    public Scheduler Scheduler { get; }

    public History History { get; }

    public SimulatedDisk Disk { get; }

    public SimulatedLocks Locks { get; } = new();

    public FaultSchedule Faults { get; }

    /// <summary>The store as somebody sees it for whom nothing goes wrong.</summary>
    public CheckpointStore Onlooker { get; }

    public List<Tenant> Tenants { get; }

    public IReadOnlyList<Invariant> Invariants => _invariants;

    /// <summary>The lives that go on in processes that live and do not stand still.</summary>
    public IEnumerable<Life> Lives => Tenants.SelectMany(tenant => tenant.Lives).Where(life => life.Process.Process is { IsAlive: true, Frozen: null } && !life.IsOver);

    /// <summary>What was broken first; null while nothing is.</summary>
    public (Invariant Invariant, string What)? Broken { get; private set; }

    /// <summary>The checkpoint that an onlooker has read last: several laws are held against it.</summary>
    public (MachineEvent.CheckpointCommitted Of, StoredCheckpoint Found)? LastRead { get; set; }

    public static string FolderOf(string vm) => Path.Combine(SegmentsFolder, vm);

    public Tenant TenantOf(string vm) => Tenants.Find(tenant => tenant.Name == vm) ?? throw new KeyNotFoundException($"There is no machine {vm}.");

    public long AddMoment(SeenMoment moment)
    {
        _moments.Add(moment);
        return _moments.Count - 1;
    }

    public SeenMoment MomentAt(long number) => _moments[(int)number];

    public void Break(Invariant invariant, string what)
    {
        if (Broken is not null)
            return;
        Broken = (invariant, what);
        History.Note("INVARIANT", $"{invariant.Name}: {what}");
    }

    public void Defect(string where, Exception failure) => _defects.OnThrown(where, failure);

    /// <summary>Whether nothing new goes wrong any more.</summary>
    public bool IsFixed { get; private set; }

    /// <summary>From here on nothing new goes wrong.</summary>
    public void Fix()
    {
        IsFixed = true;
        Faults.Fix();
        foreach (var tenant in Tenants)
            tenant.Target = tenant.Rounds + CheckpointsOfTheWhole;
        History.Note("world", $"nothing new goes wrong from here on");
    }

    /// <summary>A process goes on that stood still: its guests have not run meanwhile.</summary>
    public void OnThawed(SimulatedProcess process)
    {
        foreach (var life in Tenants.SelectMany(tenant => tenant.Lives).Where(life => life.Process.Process == process))
            life.RunsSinceUs = Scheduler.NowUs;
    }

    /// <summary>What strikes at a moment, whatever is called.</summary>
    public void StrikeAtMoments()
    {
        if (!Faults.IsArmedForMoments)
            return;
        foreach (var tenant in Tenants.ToList())
        {
            var when = tenant.Stage;
            if (tenant.ProcessNow is not { IsAlive: true, Frozen: null } process)
                continue;
            if (Faults.Strikes(FaultKind.ProcessKilled, when, tenant.Rounds))
                Kill(process);
            else if (Faults.Strikes(FaultKind.PowerLost, when, tenant.Rounds))
                LosePower();
            else if (tenant.CanBeStolen && Faults.Strikes(FaultKind.OwnerLost, when, tenant.Rounds))
                Steal(tenant);
        }
    }

    /// <summary>The machine's lock is lost while its owner stands still, and another process takes the machine.</summary>
    private void Steal(Tenant tenant)
    {
        var old = tenant.Current!;
        History.Note(old.Process.Process.Name, $"stands still and loses {tenant.Name}");
        old.HasLostOwnership = true;
        old.Process.Process.Freeze();
        Locks.Lose(tenant.Name);
        tenant.Begin(tenant.BeginsIn(StartProcess()), mustBeRestored: true);
    }

    public void OnGivenUp(Tenant tenant, string reason) => _progress.OnGivenUp(tenant, reason);

    public void OutOfTime() => _progress.OnOutOfTime();

    /// <summary>Tells every invariant.</summary>
    public void Tell(Action<Invariant> what)
    {
        foreach (var invariant in _invariants)
        {
            if (Broken is not null)
                return;
            what(invariant);
        }
    }

    /// <summary>Takes a VM into the book.</summary>
    /// <returns>What the rules of faults call it.</returns>
    public string Register(MachineProbe probe)
    {
        var name = $"{probe.Vm}#{_probes.Count}";
        _probes.Add(name, probe);
        return name;
    }

    /// <summary>The VM that the rules of faults call so; null: there is none.</summary>
    public MachineProbe? ProbeOf(string name) => _probes.GetValueOrDefault(name);

    /// <summary>Whether a call is about a machine that is in this phase, and whose rounds so far are at least as many.</summary>
    public bool IsAt(in FaultSite site, Stage when, int round)
    {
        if (site.Machine is not { } name)
            return false;
        if (_probes.TryGetValue(name, out var probe))
            return probe.Stage == when && probe.Tenant.Rounds >= round;
        return TenantOf(name) is var tenant && tenant.Stage == when && tenant.Rounds >= round;
    }

    /// <summary>Whether a fault of the world's own strikes at an opportunity of a machine.</summary>
    public bool Strikes(FaultKind kind, string vm)
    {
        if (!Faults.IsArmed)
            return false;
        var tenant = TenantOf(vm);
        var when = tenant.Stage;
        if (!Faults.Strikes(kind, when, tenant.Rounds))
            return false;
        History.Note("fault", $"{kind} strikes {vm} while {when}");
        return true;
    }

    public void OnAppended(SimulatedProcess? process, JournalAppend append, JournalHead head)
    {
        Scheduler.Mix(BitConverter.ToUInt64(head.Digest.Bytes));
        History.Note(process?.Name ?? "", $"appends {string.Join(", ", append.Events.Select(each => each.GetType().Name))}; {append.Vm} ends at event {head.SequenceNumber}");
        TenantOf(append.Vm).OnAppended(append);
        LastRead = null;
        Tell(invariant => invariant.OnAppended(append.Vm, append));
    }

    public void OnDeleted(string vm, string name) => Tell(invariant => invariant.OnDeleted(vm, name));

    public void OnDeviceResumed(string vm, ToldDevice device) => Tell(invariant => invariant.OnDeviceResumed(vm, device));

    public SimulatedProcess StartProcess()
    {
        var process = new SimulatedProcess(_processes.Count + 1);
        _processes.Add(process);
        History.Note(process.Name, $"starts");
        return process;
    }

    /// <summary>SIGKILL.</summary>
    public void Kill(SimulatedProcess process)
    {
        if (!process.IsAlive)
            return;
        History.Note(process.Name, $"is killed");
        process.Kill();
        OnEnded([process]);
    }

    /// <summary>The power goes, and comes back.</summary>
    public void LosePower()
    {
        History.Note("power", $"is lost");
        var ended = _processes.Where(process => process.IsAlive).ToList();
        foreach (var process in ended)
            process.Kill();
        Disk.LosePower();
        OnEnded(ended);
    }

    private void OnEnded(List<SimulatedProcess> ended)
    {
        LastRead = null;
        foreach (var tenant in Tenants)
        {
            tenant.ForgetHistory();
            Tell(invariant => invariant.OnSettled(tenant));
        }

        foreach (var tenant in Tenants.ToList())
            tenant.OnProcessesEnded(ended);
    }
}
