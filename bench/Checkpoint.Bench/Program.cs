using System.Globalization;
using Checkpoint.Bench;

// bench/run builds everything, finds the files and calls this; its --help says what can be asked for.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
BenchOptions options;
try
{
    options = BenchOptions.Parse(args);
}
catch (FormatException wrong)
{
    Console.Error.WriteLine($"{wrong.Message}: bench/run --help says what can be asked for");
    return 2;
}

Console.WriteLine($"{options.Checkpoints} checkpoints each; pauses in µs as p50/p90/p99; engine and plain C by turns, every {options.Every.TotalMilliseconds:f0} ms.");
Console.WriteLine(ResultTable.Header);
foreach (var vcpus in options.Vcpus)
{
    foreach (var memory in options.MemoryMiB)
    {
        var pages = memory * 256.0;
        var rates = options.Rates.Count > 0
            ? options.Rates.Select(rate => (double)rate)
            : [pages * options.DirtyPercent / 100 / options.Every.TotalSeconds];
        foreach (var rate in rates)
        {
            var run = new PauseRun(options, new Load(memory, vcpus, rate));
            await run.RunAsync();
            Console.WriteLine(ResultTable.Row(memory, vcpus, rate, run));
        }
    }
}

Console.WriteLine(ResultTable.Legend);

return 0;
