using System.Diagnostics;
using System.Globalization;
using Checkpoint.FaultSoak;

const string usage = """
    tests/fault-soak [--minutes M | --seconds S] [--seed N] [--machine kvm|sim-x64|sim-x64-many|sim-arm64|sim-arm64-many]
        the engine under random faults; prints threads, fds and memory before and after
    tests/fault-soak every-call [--machine …] [--call NAME] [--most N]
        each call failing on its n-th time, n = 1, 2, … until a run has no failure, once alone and once lasting
    """;

var arguments = new Queue<string>(args);
var (verb, machine, call, most, seed, duration) = ("soak", (string?)null, (string?)null, long.MaxValue, (ulong)Random.Shared.Next(), TimeSpan.FromMinutes(1));
if (arguments.TryPeek(out var first) && first == "every-call")
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
        case "--most": most = long.Parse(value, CultureInfo.InvariantCulture); break;
        case "--seed": seed = ulong.Parse(value, CultureInfo.InvariantCulture); break;
        case "--minutes": duration = TimeSpan.FromMinutes(double.Parse(value, CultureInfo.InvariantCulture)); break;
        case "--seconds": duration = TimeSpan.FromSeconds(double.Parse(value, CultureInfo.InvariantCulture)); break;
        default:
            Console.WriteLine(usage);
            return 2;
    }
}

var beds = Bed.All.Where(bed => machine is null ? File.Exists("/dev/kvm") || bed.IsSimulated : bed.Name == machine).ToList();
return verb == "soak"
    ? await new Soak(machine is null ? [.. beds.Where(bed => !bed.IsSimulated)] : beds, seed, duration).RunAsync()
    : await WalkAllAsync(beds, call, most);

static async Task<int> WalkAllAsync(IReadOnlyList<Bed> beds, string? only, long most)
{
    var (runs, faults) = (0, 0);
    var begun = Stopwatch.GetTimestamp();
    foreach (var bed in beds)
    {
        foreach (var call in EveryCall.Calls.Where(each => only is null || each == only))
        {
            var report = await EveryCall.WalkAsync(bed, call, n => n < most ? n + 1 : null);
            runs += report.Runs;
            faults += report.Broken.Count;
            if (report.Reached > 0 || report.Broken.Count > 0)
                Console.WriteLine($"{bed.Name,-15} {call,-28} failed at n = 1 … {report.Reached,-4} {report.Runs,4} runs  {(report.Broken.Count == 0 ? "ok" : $"{report.Broken.Count} BROKEN")}");
            foreach (var broken in report.Broken)
                Console.WriteLine($"    {broken}");
        }
    }

    Console.WriteLine($"{runs} runs in {Stopwatch.GetElapsedTime(begun).TotalSeconds:0} s, {faults} invariants broken");
    return faults == 0 ? 0 : 1;
}
