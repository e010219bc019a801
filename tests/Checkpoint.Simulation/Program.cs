using System.Diagnostics;
using Checkpoint.Simulation;

var from = ulong.Parse(args[0]);
var count = ulong.Parse(args[1]);
var mode = Enum.Parse<SimulationMode>(args[2]);
var t = Stopwatch.GetTimestamp();
var steps = 0L; var rounds = 0L; var bad = 0;
var names = new Dictionary<string, int>();
var table = new Checkpoint.Simulation.Faults.FaultTable();
for (var s = from; s < from + count; s++)
{
    var r = Simulation.Run(s, new SimulationOptions(mode, 5, args.Length > 3));
    steps += r.Steps; rounds += r.Rounds; table.Add(r.Struck);
    if (args.Length > 3) Console.WriteLine(r.History);
    if (r.BrokenInvariant is { } n)
    {
        names[n] = names.GetValueOrDefault(n) + 1;
        if (bad++ < 8) Console.WriteLine($"seed {s}: {r.BrokenInvariant}: {r.What}");
    }
}
var e = Stopwatch.GetElapsedTime(t);
Console.WriteLine($"{count} seeds, {rounds} rounds, {steps} steps in {e.TotalSeconds:f2}s: {count / e.TotalSeconds:f0} seeds/s, {bad} bad: {string.Join(", ", names)}");
if (count > 10) Console.WriteLine(table);
