using Checkpoint.Protocol.Faults;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Faults;

/// <summary>
/// What goes wrong in one history. The seed draws cells of the table, each with the opportunity at which it strikes; every
/// cell is as likely as every other, however rare its phase is. What is a call of the seam or of the store becomes a rule of the
/// engine's own fault model; the rest is the world's.
/// </summary>
internal sealed class FaultSchedule
{
    private const int MostFaults = 8;
    private const int MostSkipped = 6;
    private const int MostSkippedRegisters = 24;
    private const int SlowPreparations = 3;

    private static readonly FaultKind[] s_doubts = [FaultKind.UnknownLost, FaultKind.UnknownWritten, FaultKind.UnknownUnsynced];
    private static readonly FaultKind[] s_obstacles = [FaultKind.VcpuCaptureFails, FaultKind.VmCaptureFails];

    private readonly SeededRandom _random;
    private readonly List<Armed> _armed = [];
    private readonly InjectedFaults _injected;
    private readonly int _rounds;

    /// <summary>Draws what goes wrong.</summary>
    /// <param name="world">Where.</param>
    /// <param name="rounds">How many rounds there will be at least.</param>
    /// <param name="isWithout">Whether nothing does.</param>
    public FaultSchedule(World world, int rounds, bool isWithout)
    {
        _random = world.Random;
        _rounds = rounds;
        _injected = new InjectedFaults(world, Note);
        if (isWithout)
            return;
        var count = _random.Below(MostFaults + 1);
        for (var i = 0; i < count; i++)
            Arm(_random.Pick(FaultCells.All));
    }

    /// <summary>The calls that go wrong, for the decorators of kernels, handlers, devices, journals and files.</summary>
    public FaultPlan Plan => _injected.Plan;

    /// <summary>What has struck.</summary>
    public FaultTable Struck { get; } = new();

    /// <summary>How many faults have struck.</summary>
    public int Count { get; private set; }

    /// <summary>Whether anything of the world's own may still strike.</summary>
    public bool IsArmed => _armed.Count > 0;

    /// <summary>Whether anything may still strike at a moment instead of a call.</summary>
    public bool IsArmedForMoments => _armed.Exists(armed => armed.Kind is FaultKind.ProcessKilled or FaultKind.PowerLost or FaultKind.OwnerLost);

    /// <summary>From here on nothing new goes wrong; what is broken stays so.</summary>
    public void Fix()
    {
        _armed.Clear();
        Plan.Disarm();
    }

    /// <summary>Whether a fault of the world's own strikes at this opportunity.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="when">Where the machine's round stands.</param>
    /// <param name="round">How many rounds have ended.</param>
    public bool Strikes(FaultKind kind, Stage when, int round)
    {
        for (var i = 0; i < _armed.Count; i++)
        {
            var armed = _armed[i];
            if (armed.Kind != kind || armed.When != when || round < armed.FromRound || armed.Skip-- > 0)
                continue;
            _armed.RemoveAt(i);
            Note(kind, when);
            return true;
        }

        return false;
    }

    private void Note(FaultKind kind, Stage when)
    {
        Struck.Count(kind, when);
        Count++;
    }

    private void Arm((FaultKind Kind, Stage When) cell)
    {
        var (kind, when) = cell;
        // Small numbers are likelier: a call that is made once has no seventh time.
        var most = kind is FaultKind.VcpuCaptureFails or FaultKind.SetFails ? MostSkippedRegisters : MostSkipped;
        var skip = _random.Below(1 + _random.Below(most));
        if (kind == FaultKind.DeleteFails && when is (Stage.Preparing or Stage.Storing or Stage.Appending))
            skip = 0; // Seldom does anything go in these phases, and never twice.
        var round = _random.Below(Math.Max(1, _rounds - 1));
        Arm(kind, when, round, skip);

        // What strikes while a round is given up or the stream is read again needs something that brings that about.
        if (when == Stage.Recovering)
            Arm(_random.Pick(s_doubts), Stage.Appending, round, 0);
        else if (when == Stage.Aborting)
            Arm(_random.Pick(s_obstacles), Stage.Capturing, round, 0);
        else if (cell == (FaultKind.DeleteFails, Stage.Preparing))
            ArmSlowPreparations(round);
    }

    // What a prune makes superfluous goes right after it: the next round still prepares then where its machine is slow at that.
    private void ArmSlowPreparations(int round)
    {
        for (var i = 0; i < SlowPreparations; i++)
            Arm(FaultKind.MachineLate, Stage.Preparing, round + i, 0);
    }

    private void Arm(FaultKind kind, Stage when, int round, int skip)
    {
        if (FaultCells.IsOfTheWorld(kind))
            _armed.Add(new Armed(kind, when, round, skip));
        else
            _injected.Arm(kind, when, round, skip);
    }

    private sealed record Armed(FaultKind Kind, Stage When, int FromRound, int Skip)
    {
        public int Skip { get; set; } = Skip;
    }
}
