using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.MemoryLedger;

if (args is ["--help" or "-h"])
{
    Console.WriteLine(Arguments.Usage);
    return 0;
}

Arguments arguments;
try
{
    arguments = Arguments.Parse(args);
}
catch (FormatException failure)
{
    await Console.Error.WriteLineAsync($"memory-ledger: {failure.Message}\n{Arguments.Usage}");
    return 2;
}

var hasKvm = SystemHandle.TryOpen(out var opened, out var reason);
if (!hasKvm && arguments.Machine is not (null or "sim"))
{
    await Console.Error.WriteLineAsync($"memory-ledger: {reason}");
    return 1;
}

if (!hasKvm && arguments.Machine is null)
    Console.WriteLine($"all machines are simulated: {reason}");
using IKvm? kvm = opened;
var machines = arguments.Machine ?? (hasKvm ? "both" : "sim");
Console.WriteLine($"seed {arguments.Seed}: {arguments.Checkpoints} checkpoints, {arguments.Restores} restores, {machines}");

var time = TimeProvider.System;
var begun = time.GetTimestamp();
var tally = new Tally();
using var ending = new CancellationTokenSource();
if (arguments.For is { } limit)
    ending.CancelAfter(limit);
var lives = arguments.Only is null ? (arguments.Checkpoints + arguments.PerMachine - 1) / arguments.PerMachine : 1;
using var overview = new Timer(
    _ => Console.Error.WriteLine($"{time.GetElapsedTime(begun).TotalSeconds:F0} s: {tally.Checkpoints} checkpoints, {tally.Restores} restores"), null, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10));
var options = new ParallelOptions { MaxDegreeOfParallelism = arguments.Parallel, CancellationToken = CancellationToken.None };
await Parallel.ForAsync(0, lives, options, async (index, _) =>
{
    if (ending.IsCancellationRequested)
        return;
    var plan = LifePlan.Of(arguments.Only ?? index, arguments.Seed, machines);
    var checkpoints = arguments.Only is null ? Share(arguments.Checkpoints, index) : arguments.PerMachine;
    var restores = arguments.Only is null ? Share(arguments.Restores, index) : (int)Math.Ceiling((double)arguments.PerMachine * arguments.Restores / arguments.Checkpoints);
    using var simulated = plan.IsSimulated ? new SimulatedKvm(new SimulatedKvmOptions { Seed = (ulong)plan.Seed }) : null;
    try
    {
        await using var life = new Life(plan, arguments, tally, simulated ?? kvm!);
        await life.RunAsync(checkpoints, restores, ending.Token);
    }
    catch (Exception failure)
    {
        // Whatever it is: it is told with the machine that it happened to, and the others end.
        tally.Failures.Enqueue($"{plan}: {(failure is DifferenceException ? failure.Message : failure)}");
        await ending.CancelAsync();
    }
});

foreach (var failure in tally.Failures)
    Console.WriteLine($"FAILED (--seed {arguments.Seed}) {failure}");
Console.WriteLine($"{tally}, in {time.GetElapsedTime(begun).TotalSeconds:F0} s");
if (!tally.Failures.IsEmpty)
    return 1;
Console.WriteLine("every token was there exactly once, every page was as it had been in the pause");
return 0;

// What one of the machines has of a number: the shares differ by one at most and make up the whole.
int Share(int whole, int index) => (int)(((long)whole * (index + 1) / lives) - ((long)whole * index / lives));
