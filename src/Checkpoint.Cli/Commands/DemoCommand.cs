using System.CommandLine;
using System.Globalization;
using Checkpoint.Actors;
using Checkpoint.Cli.Demo;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint demo</c>.</summary>
internal sealed class DemoCommand : Verb
{
    private const string Vm = "demo";
    private const int Keep = 10;

    private static readonly TimeSpan s_defaultEvery = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_defaultFor = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_runOn = TimeSpan.FromMilliseconds(500);

    // The child ends by itself even when this process is killed and cannot kill it any more.
    private static readonly TimeSpan s_childBound = TimeSpan.FromSeconds(60);

    private readonly KernelOptions _kernel = new();
    private readonly GuestShape _shape = new();
    private readonly Option<TimeSpan?> _every = TypedOptions.Duration("--every", "From one checkpoint to the next; 20ms unless said otherwise");
    private readonly Option<TimeSpan?> _for = TypedOptions.Duration("--for", "How long the guest runs before its process is killed; 3s unless said otherwise");

    public DemoCommand(GlobalOptions global, Surroundings around)
        : base(
            "demo",
            "Shows the whole of it: a child process runs a guest under periodic checkpoints and is killed with SIGKILL; the last checkpoint is restored in a new machine, "
            + "runs on, and is proved to have gone on exactly. Uses a store of its own, which it removes.",
            "checkpoint demo --vcpus 4",
            global,
            around)
    {
        _kernel.AddTo(this);
        _shape.AddTo(this);
        Options.Add(_every);
        Options.Add(_for);
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        var shape = _shape.OptionsOf(parsed, _kernel.ArchitectureOf(parsed), invocation.Around);
        using var kernel = _kernel.OpenNew(invocation, shape.Seed);
        _shape.RequireSuited(parsed, kernel);
        var folder = Directory.CreateTempSubdirectory("checkpoint-demo-");
        try
        {
            var store = "sqlite:" + Path.Combine(folder.FullName, "demo.db");
            var every = parsed.GetValue(_every) ?? s_defaultEvery;
            var report = new DemoReport(invocation, kernel, shape, _shape.KindOf(parsed), every);
            var runFor = parsed.GetValue(_for) ?? s_defaultFor;
            var killing = await Killing.RunAsync(
                ChildArguments(parsed, kernel, shape, store, every, runFor + s_childBound), runFor, invocation.Progress, invocation.Time, cancellationToken).ConfigureAwait(false);
            report.Killed(killing);
            return await RestoreAsync(invocation, store, kernel, killing, report, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            invocation.Progress.Clear();
            folder.Delete(recursive: true);
        }
    }

    private List<string> ChildArguments(ParseResult parsed, Kernel kernel, GuestOptions shape, string store, TimeSpan every, TimeSpan bound) =>
    [
        "run", "--json", "--vm", Vm, "--store", store, "--machine", kernel.Kind, "--arch", Words.Of(kernel.Architecture), "--batching", parsed.GetValue(_kernel.Batching)!,
        "--seed", shape.Seed.ToString(CultureInfo.InvariantCulture),
        "--vcpus", shape.Vcpus.ToString(CultureInfo.InvariantCulture),
        "--memory", shape.MemoryBytes.ToString(CultureInfo.InvariantCulture),
        "--guest", parsed.GetValue(_shape.Guest)!,
        "--every", Milliseconds(every), "--for", Milliseconds(bound < Duration.Longest ? bound : Duration.Longest),
        "--keep", Keep.ToString(CultureInfo.InvariantCulture),
    ];

    private static string Milliseconds(TimeSpan time) => time.TotalMilliseconds.ToString("0.######", CultureInfo.InvariantCulture) + "ms";

    private static async Task<int> RestoreAsync(
        Invocation invocation, string store, Kernel kernel, Killing killing, DemoReport report, CancellationToken cancellationToken)
    {
        var begun = invocation.Time.GetTimestamp();
        await using var engine = CheckpointEngine.Open(new StoreOptions(store), invocation.Time);
        using var restored = await RestoredGuest.RestoreAsync(
            engine, kernel, new CheckpointReference.Latest(Vm), new RestoreOptions(), cancellationToken).ConfigureAwait(false);
        var restore = invocation.Time.GetElapsedTime(begun);
        var start = TimeSpan.Zero;
        var continuation = await Continuation.RunAsync(engine, restored, s_runOn, took => start = took, invocation.Time, cancellationToken).ConfigureAwait(false);

        List<string> failures = [.. continuation.Failures];
        var number = restored.Restored.Checkpoint.Number;
        if (number < killing.LastAcknowledged)
            failures.Insert(0, $"checkpoint {killing.LastAcknowledged} was acknowledged, and the last one that is stored is {number}");
        report.Ended(killing, restored.Restored, continuation, failures, restore, restore + start);
        return failures.Count == 0 ? ExitCode.Done : throw CommandException.Failed($"not verified: {failures[0]}");
    }
}
