using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Faults;

/// <summary>
/// What goes wrong in one history. The seed draws cells of the table, each with the opportunity at which it strikes; every
/// cell is as likely as every other, however rare its phase is.
/// </summary>
internal sealed class FaultPlan
{
    private const int MostFaults = 8;
    private const int MostSkipped = 6;
    private const int SlowPreparations = 3;

    private static readonly FaultKind[] s_doubts = [FaultKind.UnknownLost, FaultKind.UnknownWritten, FaultKind.UnknownUnsynced];
    private static readonly FaultKind[] s_obstacles = [FaultKind.VcpuCaptureFails, FaultKind.VmCaptureFails];

    private readonly SeededRandom _random;
    private readonly List<Armed> _armed = [];
    private readonly int _rounds;

    /// <summary>Draws what goes wrong.</summary>
    /// <param name="random">The history's own.</param>
    /// <param name="rounds">How many rounds there will be at least.</param>
    /// <param name="isWithout">Whether nothing does.</param>
    public FaultPlan(SeededRandom random, int rounds, bool isWithout)
    {
        _random = random;
        _rounds = rounds;
        if (isWithout)
            return;
        var count = random.Below(MostFaults + 1);
        for (var i = 0; i < count; i++)
            Arm();
    }

    /// <summary>What has struck.</summary>
    public FaultTable Struck { get; } = new();

    /// <summary>How many faults have struck.</summary>
    public int Count { get; private set; }

    /// <summary>Whether anything may still strike.</summary>
    public bool IsArmed => _armed.Count > 0;

    /// <summary>Whether anything may still strike at a moment instead of a call.</summary>
    public bool IsArmedForMoments => _armed.Exists(armed => armed.Kind is FaultKind.ProcessKilled or FaultKind.PowerLost or FaultKind.OwnerLost);

    /// <summary>From here on nothing new goes wrong; what is broken stays so.</summary>
    public void Fix() => _armed.Clear();

    /// <summary>Whether a fault strikes at this opportunity.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="when">Where the machine's round stands.</param>
    /// <param name="round">How many rounds have ended.</param>
    public bool Strikes(FaultKind kind, Stage when, int round)
    {
        if (_armed.Count == 0)
            return false;
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

    /// <summary>Notes a fault that the world brought about by itself.</summary>
    public void Note(FaultKind kind, Stage when)
    {
        Struck.Count(kind, when);
        Count++;
    }

    private void Arm()
    {
        Arm(_random.Pick(FaultCells.All));
    }

    private void Arm((FaultKind Kind, Stage When) cell)
    {
        var (kind, when) = cell;
        // Small numbers are likelier: a call that is made once has no seventh time.
        var skip = _random.Below(1 + _random.Below(MostSkipped));
        if (kind == FaultKind.DeleteFails && when is (Stage.Preparing or Stage.Storing or Stage.Appending))
            skip = 0; // Seldom does anything go in these phases, and never twice.
        var round = _random.Below(Math.Max(1, _rounds - 1));
        _armed.Add(new Armed(kind, when, round, skip));

        // What strikes while a round is given up or the stream is read again needs something that brings that about.
        if (when == Stage.Recovering)
            _armed.Add(new Armed(_random.Pick(s_doubts), Stage.Appending, round, 0));
        else if (when == Stage.Aborting)
            _armed.Add(new Armed(_random.Pick(s_obstacles), Stage.Capturing, round, 0));
        else if (cell == (FaultKind.DeleteFails, Stage.Preparing))
            ArmSlowPreparations(round);
    }

    // What a prune makes superfluous goes right after it: the next round still prepares then where its machine is slow at that.
    private void ArmSlowPreparations(int round)
    {
        for (var i = 0; i < SlowPreparations; i++)
            _armed.Add(new Armed(FaultKind.MachineLate, Stage.Preparing, round, 0));
    }

    private sealed record Armed(FaultKind Kind, Stage When, int FromRound, int Skip)
    {
        public int Skip { get; set; } = Skip;
    }
}
