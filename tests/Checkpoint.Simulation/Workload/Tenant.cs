using Checkpoint.Actors;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Guests;
using Checkpoint.Simulation.Scheduling;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Simulation.Workload;

/// <summary>A machine by its name, through all its lives: what its callers were told, and what it goes through next.</summary>
internal sealed class Tenant
{
    private readonly Dictionary<long, int> _unpins = [];
    private MachineHistory? _history;

    public Tenant(World world, string name, GuestShape shape, int rounds)
    {
        World = world;
        Name = name;
        Shape = shape;
        Target = rounds;
    }

    public World World { get; }

    public string Name { get; }

    public GuestShape Shape { get; }

    /// <summary>How many rounds it is to have.</summary>
    public int Target { get; set; }

    /// <summary>How many rounds have ended with an answer.</summary>
    public int Rounds { get; private set; }

    /// <summary>Whether it has had its rounds and stands still.</summary>
    public bool IsDone { get; set; }

    /// <summary>Whether nobody will mend what is broken in it.</summary>
    public bool IsLeftBroken { get; set; }

    /// <summary>Whether it needs no more of this history.</summary>
    public bool IsOver => IsLeftBroken || (IsDone && Lives.Count == 0);

    /// <summary>What it does, for the line that says that it does not go on.</summary>
    public string Activity { get; set; } = "";

    public List<Life> Lives { get; } = [];

    /// <summary>Whether it is being attached, or brought back.</summary>
    public Stage? Beginning { get; set; }

    /// <summary>The checkpoints that callers were told to exist.</summary>
    public Dictionary<long, CheckpointId> Acknowledged { get; } = [];

    /// <summary>The rounds that callers were told to have failed.</summary>
    public HashSet<CheckpointId> NotTaken { get; } = [];

    /// <summary>The checkpoints whose pin was acknowledged, and whose end nobody has asked for since the pin was asked for.</summary>
    public HashSet<long> Pinned { get; } = [];

    /// <summary>The checkpoints that an append after their own has pruned: what is new stays, whatever retention takes for it.</summary>
    public HashSet<long> MayBePruned { get; } = [];

    /// <summary>Which request to unpin a checkpoint was the last so far.</summary>
    public int LastUnpinOf(long number) => _unpins.GetValueOrDefault(number);

    /// <summary>A pin was acknowledged. One that was asked for before somebody asked for the checkpoint's end says nothing any more.</summary>
    /// <param name="number">The checkpoint.</param>
    /// <param name="lastUnpin">What <see cref="LastUnpinOf"/> was when the pin was asked for.</param>
    public void OnPinned(long number, int lastUnpin)
    {
        if (LastUnpinOf(number) == lastUnpin)
            Pinned.Add(number);
    }

    /// <summary>Somebody asks for a checkpoint's end.</summary>
    public void OnUnpinAsked(long number)
    {
        _unpins[number] = LastUnpinOf(number) + 1;
        Pinned.Remove(number);
    }

    public Life? Current => Lives.Count > 0 ? Lives[^1] : null;

    public Stage Stage
    {
        get
        {
            if (Beginning is { } beginning)
                return beginning;
            return Current is { Process.IsAlive: true } life ? life.Stage : Stage.Idle;
        }
    }

    /// <summary>The process in which it lives, or is about to.</summary>
    public SimulatedProcess? ProcessNow => Beginning is not null || Current is null ? _beginsIn : Current.Process.Process;

    /// <summary>Whether another process could take it now and go on from a checkpoint.</summary>
    public bool CanBeStolen => Beginning is null && !IsDone && Current is { HasLostOwnership: false, IsOver: false } && ReadHistory().Live.Count > 0;

    /// <summary>What the stream says, as an onlooker reads it.</summary>
    public MachineHistory ReadHistory() => _history ??= EventStream.RecoverAsync(World.Onlooker.Journal, Name).GetAwaiter().GetResult();

    public void ForgetHistory() => _history = null;

    public void OnAppended(JournalAppend append)
    {
        ForgetHistory();
        var own = append.Events.OfType<MachineEvent.CheckpointCommitted>().Select(committed => committed.Number);
        MayBePruned.UnionWith(append.Events.OfType<MachineEvent.CheckpointPruned>().SelectMany(pruned => pruned.Numbers).Except(own));
    }

    public void OnRoundEnded(Life life, CheckpointOutcome outcome)
    {
        if (!life.Process.IsAlive)
            return;
        // Once nothing new goes wrong, only what is a checkpoint counts.
        if (!World.IsFixed || outcome is CheckpointOutcome.Committed)
            Rounds++;
        switch (outcome)
        {
            case CheckpointOutcome.Committed committed:
                World.History.Note(Name, $"checkpoint {committed.Checkpoint.Number} is acknowledged: {committed.Checkpoint.Mode}, parent {committed.Checkpoint.Parent}, {committed.Checkpoint.DirtyPages} pages");
                life.Failures = 0;
                Acknowledged[committed.Checkpoint.Number] = committed.Checkpoint.Id;
                // An owner that has lost the machine may hear late of what the next one has pruned meanwhile: it was there.
                if (!(life.HasLostOwnership && MayBePruned.Contains(committed.Checkpoint.Number)))
                    World.Tell(invariant => invariant.OnAcknowledged(this, committed.Checkpoint));
                break;
            case CheckpointOutcome.Aborted aborted:
                World.History.Note(Name, $"the round is given up: {aborted.Abort.Reason}");
                life.Failures++;
                World.OnGivenUp(this, aborted.Abort.Reason);
                break;
            case CheckpointOutcome.Refused refused:
                World.History.Note(Name, $"the round is refused: {refused.Obstacle.Describe()}");
                if (refused.Obstacle is not Refusal.CheckpointAlreadyRunning)
                    life.IsOver = true;
                break;
            default:
                break;
        }

        World.Tell(invariant => invariant.OnRoundEnded(this, life));
    }

    /// <summary>Begins, or goes on after a crash, in a process.</summary>
    public void Begin(SimulatedProcess process, bool mustBeRestored = false) =>
        World.Scheduler.After(World.Random.Between(10, 500), () => _ = GuardAsync("a life", process, () => new Course(this, process).RunAsync(mustBeRestored)), process);

    public void OnProcessesEnded(List<SimulatedProcess> ended)
    {
        // An owner that has lost the machine is not begun again: the process that took it lives it on.
        var hasEnded = _beginsIn is not null && ended.Contains(_beginsIn);
        foreach (var each in Lives.Where(each => ended.Contains(each.Process.Process)).ToList())
            Bury(each);
        if (IsDone || !hasEnded)
            return;
        Beginning = null;
        var mustBeRestored = Lives.Count > 0;
        Begin(BeginsIn(World.StartProcess()), mustBeRestored);
    }

    /// <summary>A life is over: what it had of the host's memory comes back.</summary>
    public void Bury(Life life)
    {
        Lives.Remove(life);
        life.Attached.Coordinator.Host.Machine.Memory.Dispose();
        life.Guest.Dispose();
    }

    private SimulatedProcess? _beginsIn;

    /// <summary>Notes in which process the next life begins.</summary>
    public SimulatedProcess BeginsIn(SimulatedProcess process) => _beginsIn = process;

    /// <summary>Runs something; what it throws is a defect of the engine, unless its process has ended meanwhile.</summary>
    public async Task GuardAsync(string what, SimulatedProcess process, Func<Task> work)
    {
        try
        {
            await work().ConfigureAwait(false);
        }
        catch (Exception failure) when (!process.IsAlive && failure is StoreException or IOException)
        {
            // Nobody hears of it any more.
        }
        catch (Exception failure)
        {
            World.Defect(what, failure);
        }
    }
}
