using System.Diagnostics;
using Checkpoint.Simulation;

Arguments arguments;
try
{
    arguments = Arguments.Parse(args);
}
catch (FormatException failure)
{
    Console.Error.WriteLine($"simulation: {failure.Message}");
    return 2;
}

if (arguments.WantsHelp)
{
    Console.WriteLine(Arguments.Help);
    return 0;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = !stop.IsCancellationRequested;
    stop.Cancel();
};
var begun = Stopwatch.GetTimestamp();
var run = new SeedRun(arguments, Console.Out, stop.Token);
run.Play();
var seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
Console.WriteLine($"{run.Played} seeds, {run.Rounds} rounds, {run.Steps} steps, {run.Table.Total} faults in {seconds:f1} s: {run.Played / seconds:f0} seeds a second; {run.Broken} broken");
if (!arguments.IsOne)
{
    Console.WriteLine();
    Console.Write(run.Table);
    Console.WriteLine(run.Table.Empty is { Count: > 0 } empty
        ? $"empty cells: {string.Join(", ", empty.Select(cell => $"{cell.Kind} while {cell.When}"))}"
        : "no cell is empty");
}

return stop.IsCancellationRequested ? 130 : run.Broken == 0 ? 0 : 1;
