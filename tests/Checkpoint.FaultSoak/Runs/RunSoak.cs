using System.Diagnostics;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>Lives of the <c>run</c> command under random faults, one after another in this process.</summary>
internal sealed class RunSoak(ulong seed, TimeSpan duration)
{
    private const int HealthyLives = 4;
    private const int MostBroken = 20;
    private static readonly TimeSpan s_tellEvery = TimeSpan.FromMinutes(1);

    private readonly FaultTable _faults = new();
    private readonly SortedDictionary<int, int> _ends = [];
    private readonly List<Figures> _told = [];
    private int _committed;
    private int _pruned;
    private int _restored;
    private int _aborted;
    private int _broken;
    private int _leftBehind;
    private TimeSpan _latest;

    /// <summary>Lives one life again, so that it can be looked into.</summary>
    /// <param name="number">Its number.</param>
    /// <returns>The exit code.</returns>
    public async Task<int> LiveOneAsync(int number)
    {
        await LiveAsync(number, isHealthy: false).ConfigureAwait(false);
        Console.WriteLine($"life {number} of seed {seed}: {Sum()}");
        return _broken == 0 ? 0 : 1;
    }

    /// <summary>Runs until the time is over.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> RunAsync()
    {
        if (!SystemHandle.TryOpen(out var kvm, out var reason))
        {
            Console.WriteLine($"skipped: KVM cannot be used: {reason}");
            return 0;
        }

        kvm.Dispose();
        Console.WriteLine($"run under faults, seed {seed}, {duration.TotalSeconds:0} s");
        // First some without faults: what is loaded and compiled once belongs to no leak.
        for (var life = 1; life <= HealthyLives; life++)
            await LiveAsync(-life, isHealthy: true).ConfigureAwait(false);
        var before = Figures.Take();
        Console.WriteLine($"before: {before}");
        var begun = Stopwatch.GetTimestamp();
        var told = begun;
        var lives = 0;
        while (Stopwatch.GetElapsedTime(begun) < duration && _broken < MostBroken)
        {
            await LiveAsync(++lives, isHealthy: false).ConfigureAwait(false);
            if (Stopwatch.GetElapsedTime(told) < s_tellEvery)
                continue;
            told = Stopwatch.GetTimestamp();
            _told.Add(Figures.Take());
            Console.WriteLine($"{Stopwatch.GetElapsedTime(begun).TotalSeconds,6:0} s: {lives} lives, {_committed} committed, {_faults.Total} faults; {_told[^1]}");
        }

        var after = Figures.Take();
        Console.WriteLine($"after:  {after}");
        Console.WriteLine($"difference: {string.Join("; ", after.Since(before).DefaultIfEmpty("none"))}");
        Console.WriteLine($"{lives} lives in {Stopwatch.GetElapsedTime(begun).TotalSeconds:0} s: {Sum()}");
        _faults.Print();
        return Judge(before, after);
    }

    private string Sum() =>
        $"{_faults.Total} faults injected into {_ends.Values.Sum()} runs, which ended with {string.Join(", ", _ends.Select(end => $"{end.Key} ({end.Value})"))}; "
        + $"{_committed} checkpoints printed as committed, {_pruned} pruned again, {_restored} restored and exact; {_aborted} rounds aborted; "
        + $"longest after an interrupt {_latest.TotalSeconds:0.0} s; {_leftBehind} lives left something behind; {_broken} broken";

    private async Task LiveAsync(int number, bool isHealthy)
    {
        var folder = Directory.CreateTempSubdirectory("checkpoint-runs-").FullName;
        try
        {
            var life = new RunLife(Seeds.Of(seed, number), folder);
            await life.LiveAsync(isHealthy).ConfigureAwait(false);
            foreach (var (exitCode, count) in life.Ends)
                _ends[exitCode] = _ends.GetValueOrDefault(exitCode) + count;
            (_committed, _pruned, _restored, _aborted) = (_committed + life.Committed, _pruned + life.Pruned, _restored + life.Restored, _aborted + life.Aborted);
            _latest = life.Latest > _latest ? life.Latest : _latest;
            _leftBehind += life.HasLeftSomething ? 1 : 0;
            foreach (var (kind, phase) in life.Faults)
                _faults.Add(kind, phase, 1);
            foreach (var broken in life.Broken)
            {
                _broken++;
                Console.WriteLine($"BROKEN in life {number} of seed {seed}: {broken}");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private int Judge(Figures before, Figures after)
    {
        var findings = new List<string>();
        if (_broken > 0)
            findings.Add($"{_broken} promises were broken");
        if (after.LeftSince(before) is { Count: > 0 } left)
            findings.Add($"something of the engine is left: {string.Join("; ", left)}");
        // The runtime keeps some of its own; a leak would be one a life.
        if (after.Fds > before.Fds + 10)
            findings.Add($"{after.Fds - before.Fds} fds are left");
        if (after.ManagedBytes > before.ManagedBytes + (32L << 20))
            findings.Add("managed memory has grown");
        // What caches hold comes in the first lives; from one third of the time on it must not go on growing.
        if (_told.Count > 5 && after.ResidentBytes > _told[_told.Count / 3].ResidentBytes + (64L << 20))
            findings.Add("resident memory goes on growing");
        foreach (var finding in findings)
            Console.WriteLine($"FOUND: {finding}");
        return findings.Count == 0 ? 0 : 1;
    }
}
