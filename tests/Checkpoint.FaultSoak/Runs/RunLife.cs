using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>
/// One life: the <c>run</c> command with random faults, then some that go on from what it committed, with faults of their own. Then
/// all that is stored is looked at, and what the engine still holds.
/// </summary>
/// <param name="seed">Of everything.</param>
/// <param name="folder">A folder of its own, removed by the caller.</param>
internal sealed class RunLife(int seed, string folder)
{
    private const int Done = 0;
    private const int Failed = 1;
    private const int Damaged = 3;
    private const int Interrupted = 130;

    // All of a stop's own deadlines one after another, on a machine that has other things to do.
    private static readonly TimeSpan s_deadlock = TimeSpan.FromSeconds(200);

    // A run ends its faults: what it had to leave behind goes on then, gives up what it holds and is gone. A thread reports its end before that.
    private static readonly TimeSpan s_settling = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromMilliseconds(20);

    private readonly Random _random = new(seed);
    private readonly Ledger _ledger = new(Path.Combine(folder, "store.db"), s_deadlock);
    private readonly List<string> _broken = [];
    private readonly List<string> _typed = [];

    /// <summary>What did not hold; empty for a good life.</summary>
    public IReadOnlyList<string> Broken => _broken;

    /// <summary>How many runs ended with each exit code.</summary>
    public Dictionary<int, int> Ends { get; } = [];

    /// <summary>How many rounds were aborted or refused.</summary>
    public int Aborted { get; private set; }

    /// <summary>The faults that were injected, by kind and phase.</summary>
    public List<(string Kind, string Phase)> Faults { get; } = [];

    /// <summary>How many checkpoints were printed as committed.</summary>
    public int Committed => _ledger.Committed;

    /// <summary>How many of them retention took again.</summary>
    public int Pruned => _ledger.Pruned;

    /// <summary>How many of the others were restored and exact.</summary>
    public int Restored => _ledger.Restored;

    /// <summary>Whether threads or file descriptors of the engine were left.</summary>
    public bool HasLeftSomething { get; private set; }

    /// <summary>The longest that a command ran on after it was asked to stop.</summary>
    public TimeSpan Latest { get; private set; }

    /// <summary>Lives the life.</summary>
    /// <param name="isHealthy">Without faults.</param>
    public async Task LiveAsync(bool isHealthy)
    {
        var before = Figures.Take();
        var shape = RunArguments.DrawShape(_random);
        var vcpus = RunArguments.VcpusOf(shape);
        await RunAsync(RunArguments.Draw(_random, ["--vm", "a", .. shape]), "a", vcpus, isHealthy).ConfigureAwait(false);
        for (var more = _random.Next(3); more > 0 && _broken.Count == 0 && _ledger.Draw(_random) is { } from; more--)
        {
            var vm = _random.Next(4) == 0 ? string.Create(CultureInfo.InvariantCulture, $"a{more}") : from.Vm;
            var reference = _random.Next(2) == 0 ? $"{from.Vm}@latest" : string.Create(CultureInfo.InvariantCulture, $"{from.Vm}@{from.Number}");
            var arguments = RunArguments.Draw(_random, "--from", reference, "--vm", vm, "--fill", RunArguments.Pick(_random, "auto", "lazy", "eager"));
            await RunAsync(arguments, vm, vcpus, isHealthy).ConfigureAwait(false);
        }

        if (_broken.Count == 0)
            _broken.AddRange(await _ledger.LookAsync(folder).ConfigureAwait(false));
        if (await LeftSinceAsync(before).ConfigureAwait(false) is { Count: > 0 } left)
        {
            HasLeftSomething = true;
            _broken.Add(string.Create(CultureInfo.InvariantCulture, $"{s_settling.TotalSeconds} s after its last command something of the engine is left: {string.Join("; ", left)}"));
        }

        if (_broken.Count > 0)
            _broken[^1] += string.Concat(_typed.Select(each => "\n    " + each));
    }

    private static async Task<IReadOnlyList<string>> LeftSinceAsync(Figures before)
    {
        var begun = Stopwatch.GetTimestamp();
        while (Figures.Take().LeftSince(before) is { Count: > 0 } left)
        {
            if (Stopwatch.GetElapsedTime(begun) > s_settling)
                return left;
            await Task.Delay(s_lookEvery).ConfigureAwait(false);
        }

        return [];
    }

    private async Task RunAsync(RunArguments arguments, string vm, int vcpus, bool isHealthy)
    {
        var faults = new FaultPlan((ulong)_random.Next());
        RandomFaults.Arm(faults, _random, vcpus);
        var file = Path.Combine(folder, "faults.json");
        await File.WriteAllTextAsync(file, FaultFileText.Of(faults)).ConfigureAwait(false);
        var words = isHealthy ? arguments.Words : [.. arguments.Words, "--faults", file];
        var end = await Command.RunAsync(arguments.InterruptAfter, s_deadlock, ["run", "--store", _ledger.Store, .. words]).ConfigureAwait(false);
        _typed.Add($"{end?.ToString() ?? string.Join(' ', words)}; faults: {FaultFileText.Of(faults)}");
        if (end is null)
        {
            _broken.Add($"DEADLOCK: it has not ended {s_deadlock.TotalSeconds} s after it was asked to stop");
            return;
        }

        Ends[end.ExitCode] = Ends.GetValueOrDefault(end.ExitCode) + 1;
        Latest = end.Late > Latest ? end.Late : Latest;
        Aborted += end.Of("aborted").Count();
        Faults.AddRange(end.Of("fault").Select(fault => (fault.GetProperty("kind").GetString()!, fault.GetProperty("phase").GetString() ?? "outside")));
        // What cannot be read is as good as damaged.
        var mayBeDamaged = faults.Rules.Any(rule => FaultCalls.Matching(rule.When.Call).Any(call => call is FaultCalls.FileRead or FaultCalls.FileOpen));
        foreach (var finding in Judge(end, isHealthy, mayBeDamaged).Concat(_ledger.Note(vm, end)))
            _broken.Add(finding);
    }

    // What docs/CLI.md promises of every run.
    private static IEnumerable<string> Judge(CommandEnd end, bool isHealthy, bool mayBeDamaged)
    {
        var stopped = end.Of("stopped").LastOrDefault();
        var reason = stopped.ValueKind == JsonValueKind.Object ? stopped.GetProperty("reason").GetString() : null;
        if (end.Error.Contains("this is a bug", StringComparison.Ordinal))
            yield return "it calls itself a bug";
        switch (end.ExitCode)
        {
            case Done when reason is not ("duration" or "checkpoints") || end.LastWords.Count > 0:
                yield return $"it is done and ends with '{reason}'";
                break;
            // What is stored compressed cannot come in lazily: that is refused without any fault.
            case Failed when end.LastWords.Count != 1 || (isHealthy && !end.Arguments.Contains("lazy")):
                yield return "it failed, with something else than one line that says why, or without a fault";
                break;
            case Interrupted when !end.WasInterrupted || (reason is null ? end.LastWords.Count != 1 : reason != "interrupted"):
                yield return $"it says that it was interrupted, and ends with '{reason}'";
                break;
            case Damaged when end.LastWords.Count != 1 || isHealthy || !mayBeDamaged:
                yield return "it finds something damaged, and all could be read";
                break;
            case not (Done or Failed or Damaged or Interrupted):
                yield return "no such end is possible here";
                break;
            default:
                break;
        }

        if (reason is not null and not "failed" && !stopped.GetProperty("verified").GetBoolean())
            yield return $"its guest is not consistent: {stopped.GetProperty("failures")}";
        if (stopped.ValueKind == JsonValueKind.Object && end.Lines[^1].GetProperty("event").GetString() != "stopped")
            yield return "something comes after its last line";
        if (stopped.ValueKind == JsonValueKind.Object && stopped.GetProperty("checkpoints").GetInt64() != end.Of("committed").Count())
            yield return "it counts other checkpoints than it printed";
    }
}
