using Checkpoint.Simulation.Faults;

namespace Checkpoint.Simulation;

/// <summary>Plays many seeds, several at a time, each of them on one thread.</summary>
internal sealed class SeedRun(Arguments arguments, TextWriter output, CancellationToken stop)
{
    private const int MostPrinted = 10;

    private readonly Lock _gate = new();
    private readonly FaultTable _table = new();
    private ulong _next;
    private bool _isOver;

    /// <summary>How many seeds were played.</summary>
    public ulong Played { get; private set; }

    /// <summary>How many of them broke an invariant.</summary>
    public ulong Broken { get; private set; }

    public long Rounds { get; private set; }

    public long Steps { get; private set; }

    public FaultTable Table => _table;

    /// <summary>Plays them all, or up to the first that fails where that was asked for.</summary>
    public void Play()
    {
        var threads = new List<Thread>();
        for (var i = 0; i < arguments.Parallel; i++)
        {
            var thread = new Thread(PlayOnThread) { Name = $"simulation {i}" };
            thread.Start();
            threads.Add(thread);
        }

        foreach (var thread in threads)
            thread.Join();
    }

    private void PlayOnThread()
    {
        while (TryTake(out var seed))
        {
            var result = Simulation.Run(seed, new SimulationOptions(arguments.ModeOf(seed), arguments.Rounds, arguments.PrintsHistory));
            lock (_gate)
                Add(result);
        }
    }

    private bool TryTake(out ulong seed)
    {
        lock (_gate)
        {
            seed = arguments.From + _next;
            return !_isOver && !stop.IsCancellationRequested && _next++ < arguments.Seeds;
        }
    }

    private void Add(SimulationResult result)
    {
        Played++;
        Rounds += result.Rounds;
        Steps += result.Steps;
        _table.Add(result.Struck);
        if (arguments.PrintsHistory)
            output.Write(result.History);
        if (result.BrokenInvariant is null)
            return;
        Broken++;
        _isOver |= arguments.StopsAtFirst;
        if (Broken > MostPrinted)
            return;
        output.WriteLine($"seed {result.Seed} breaks {result.BrokenInvariant} ({result.Law}):");
        output.WriteLine($"  {result.What}");
        var mode = arguments.ModeOf(result.Seed).ToString().ToLowerInvariant();
        output.WriteLine($"  replay: dotnet run -c Release --project tests/Checkpoint.Simulation -- --seed {result.Seed} --mode {mode} --rounds {arguments.Rounds} --history");
    }
}
