using System.Diagnostics;
using System.Globalization;
using Checkpoint.FaultSoak;
using Checkpoint.FaultSoak.Runs;

const string usage = """
    tests/fault-soak [--minutes M | --seconds S] [--seed N] [--machine kvm|sim-x64|sim-x64-many|sim-arm64|sim-arm64-many]
        the engine under random faults; prints threads, fds and memory before and after
    tests/fault-soak run [--minutes M | --seconds S] [--seed N] [--life L]
        the command `checkpoint run` under random faults on KVM, in one process: all that it printed as committed is restored, and threads, fds
        and memory are compared; --life lives one of the seed's lives again
    tests/fault-soak every-call [--machine …] [--call NAME] [--from N] [--most N] [--minutes M | --seconds S] [--after NAME]
        each call failing on its n-th time, n = 1, 2, … until a run has no failure, once alone and once lasting; with a time it
        ends at the first call, or n, after it and says how to go on
    """;

var arguments = new Queue<string>(args);
var (verb, machine, call, after, life) = ("soak", (string?)null, (string?)null, (string?)null, (int?)null);
var (from, most, seed, duration) = (1L, long.MaxValue, (ulong)Random.Shared.Next(), (TimeSpan?)null);
if (arguments.TryPeek(out var first) && first is "every-call" or "run")
    verb = arguments.Dequeue();
while (arguments.TryDequeue(out var option))
{
    if (option is "-h" or "--help" || !arguments.TryDequeue(out var value))
    {
        Console.WriteLine(usage);
        return option is "-h" or "--help" ? 0 : 2;
    }

    switch (option)
    {
        case "--machine": machine = value; break;
        case "--call": call = value; break;
        case "--after": after = value; break;
        case "--from": from = long.Parse(value, CultureInfo.InvariantCulture); break;
        case "--most": most = long.Parse(value, CultureInfo.InvariantCulture); break;
        case "--life": life = int.Parse(value, CultureInfo.InvariantCulture); break;
        case "--seed": seed = ulong.Parse(value, CultureInfo.InvariantCulture); break;
        case "--minutes": duration = TimeSpan.FromMinutes(double.Parse(value, CultureInfo.InvariantCulture)); break;
        case "--seconds": duration = TimeSpan.FromSeconds(double.Parse(value, CultureInfo.InvariantCulture)); break;
        default:
            Console.WriteLine(usage);
            return 2;
    }
}

var beds = Bed.All.Where(bed => machine is null ? File.Exists("/dev/kvm") || bed.IsSimulated : bed.Name == machine).ToList();
switch (verb)
{
    case "run":
        var runs = new RunSoak(seed, duration ?? TimeSpan.FromMinutes(1));
        return life is { } number ? await runs.LiveOneAsync(number) : await runs.RunAsync();
    case "every-call":
        var calls = EveryCall.Calls.Where(each => call is null ? after is null || string.CompareOrdinal(each, after) > 0 : each == call);
        return await WalkAllAsync(beds, [.. calls], from, most, duration ?? Timeout.InfiniteTimeSpan);
    default:
        return await new Soak(machine is null ? [.. beds.Where(bed => !bed.IsSimulated)] : beds, seed, duration ?? TimeSpan.FromMinutes(1)).RunAsync();
}

static async Task<int> WalkAllAsync(IReadOnlyList<Bed> beds, IReadOnlyList<string> calls, long from, long most, TimeSpan duration)
{
    var (runs, faults) = (0, 0);
    var begun = Stopwatch.GetTimestamp();
    foreach (var bed in beds)
    {
        foreach (var call in calls)
        {
            var report = await EveryCall.WalkAsync(bed, call, n => n < most && !IsOver() ? n + 1 : null, from);
            runs += report.Runs;
            faults += report.Broken.Count;
            if (report.Reached > 0 || report.Broken.Count > 0)
                Console.WriteLine($"{bed.Name,-15} {call,-28} failed at n = {from} … {report.Reached,-4} {report.Runs,4} runs  {(report.Broken.Count == 0 ? "ok" : $"{report.Broken.Count} BROKEN")}");
            foreach (var broken in report.Broken)
                Console.WriteLine($"    {broken}");
            if (!IsOver())
                continue;
            Console.WriteLine($"the time is over: go on with --machine {bed.Name} {(report.Next is { } next ? $"--call {call} --from {next}, then " : "")}--after {call}");
            return Sum();
        }
    }

    return Sum();

    bool IsOver() => duration != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(begun) > duration;

    int Sum()
    {
        Console.WriteLine($"{runs} runs in {Stopwatch.GetElapsedTime(begun).TotalSeconds:0} s, {faults} invariants broken");
        return faults == 0 ? 0 : 1;
    }
}
