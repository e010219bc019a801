using System.CommandLine;
using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint run</c>.</summary>
internal sealed class RunCommand : Verb
{
    private static readonly TimeSpan s_defaultEvery = TimeSpan.FromMilliseconds(100);

    private readonly Option<string?> _vm = TypedOptions.Machine("--vm", "The machine's name in the store; with --from the name of the checkpoint's machine unless said otherwise");
    private readonly Option<string> _machine = MachineChoice.Option();
    private readonly Option<string> _arch = TypedOptions.Choice("--arch", "The processor architecture", "x64", "arm64");
    private readonly GuestShape _shape = new();
    private readonly Option<TimeSpan?> _every = TypedOptions.Duration("--every", "From one checkpoint to the next, such as 20ms; 100ms unless said otherwise");
    private readonly Option<TimeSpan?> _for = TypedOptions.Duration("--for", "Stop after this time, such as 10s; otherwise at SIGINT or SIGTERM");
    private readonly Option<int?> _checkpoints = TypedOptions.Number("--checkpoints", "Stop after this many checkpoints", 1, int.MaxValue);
    private readonly Option<int?> _keep = TypedOptions.Number("--keep", "Keep the newest N checkpoints and the pinned ones; otherwise all are kept", 1, int.MaxValue);
    private readonly Option<string> _mode = TypedOptions.Choice("--mode", "How much memory a checkpoint holds: all of it, or what has changed", "full", "incremental");
    private readonly Option<CheckpointReference?> _from = TypedOptions.Reference("--from", "Begin with this checkpoint instead of a new machine: VM@latest, VM@12 or 8 digits of its id");

    public RunCommand(GlobalOptions global, Surroundings around)
        : base("run", "Runs a machine under periodic checkpoints, a new one or one brought back with --from.", "checkpoint run --vm a --every 100ms --for 10s --keep 20", global, around)
    {
        Options.Add(_vm);
        Options.Add(_machine);
        Options.Add(_arch);
        _shape.AddTo(this);
        foreach (var option in (Option[])[_every, _for, _checkpoints, _keep, _mode, _from])
            Options.Add(option);
        Validators.Add(result =>
        {
            if (result.GetResult(_vm) is null && result.GetResult(_from) is null)
                result.AddError("--vm is missing: name the machine, such as --vm a");
            if (result.GetResult(_for) is not null && result.GetResult(_checkpoints) is not null)
                result.AddError("--for and --checkpoints exclude each other: say when to stop in one way");
        });
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        RefuseWhatIsNotBuilt(parsed);
        var from = parsed.GetValue(_from);
        if (from is not null && _shape.IsGiven(parsed))
            throw CommandException.Usage("--vcpus, --memory and --guest are for new machines: with --from they are the checkpoint's");
        if (from is null)
            _shape.OptionsOf(parsed, invocation.Around);

        using var kvm = MachineChoice.Open(parsed.GetValue(_machine)!, invocation.Around);
        if (from is not null)
            await FindAsync(invocation, from, cancellationToken).ConfigureAwait(false);
        await using var engine = invocation.OpenToWrite();
        if (from is not null)
        {
            using var restored = await RestoredGuest.RestoreAsync(engine, kvm, from, ClockPolicy.Freeze, cancellationToken).ConfigureAwait(false);
            return await RunAsync(invocation, engine, restored.Guest, restored.Restored, cancellationToken).ConfigureAwait(false);
        }

        using var guest = _shape.Create(kvm, parsed, invocation.Around);
        return await RunAsync(invocation, engine, guest, null, cancellationToken).ConfigureAwait(false);
    }

    private void RefuseWhatIsNotBuilt(ParseResult parsed)
    {
        if (parsed.GetValue(_arch) != "x64")
            throw CommandException.Failed("--arch arm64 is not built yet; use --arch x64");
        if (parsed.GetValue(_mode) != "full")
            throw CommandException.Failed("--mode incremental is not built yet; use --mode full");
    }

    /// <summary>A store that is not there must not come into being because somebody looked for a checkpoint in it.</summary>
    private static async Task FindAsync(Invocation invocation, CheckpointReference reference, CancellationToken cancellationToken)
    {
        await using var reading = invocation.OpenToRead();
        await reading.FindAsync(reference, cancellationToken).ConfigureAwait(false);
    }

    private async Task<int> RunAsync(
        Invocation invocation, CheckpointEngine engine, GuestMachine guest, RestoredMachine? restored, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        var vm = parsed.GetValue(_vm) ?? restored!.Vm;
        var keep = parsed.GetValue(_keep);
        var limits = new RunLimits(parsed.GetValue(_every) ?? s_defaultEvery, parsed.GetValue(_for), parsed.GetValue(_checkpoints));
        var attachment = new MachineAttachment(guest.Machine, guest)
        {
            Devices = [new GuestDevice(guest)],
            Options = new CoordinatorOptions { Keep = keep },
            RestoredFrom = restored,
        };
        await using var machine = await engine.AttachAsync(vm, attachment, cancellationToken).ConfigureAwait(false);
        var report = new RunReport(invocation, vm);
        var run = new CheckpointedRun(machine, limits, invocation.Time, report.Round);
        var end = await run.UntilEndAsync(() => report.Started(guest, restored, limits, keep), cancellationToken).ConfigureAwait(false);
        var verdict = guest.Verify();
        report.Stopped(run, end, verdict);
        await report.CompleteAsync().ConfigureAwait(false);
        return ExitCodeOf(vm, run, end, verdict);
    }

    private static int ExitCodeOf(string vm, CheckpointedRun run, RunEnd end, GuestVerdict verdict)
    {
        if (end == RunEnd.Failed)
            throw CommandException.Failed($"machine '{vm}' was stopped: {run.LastObstacle}");
        if (!verdict.Ok)
            throw CommandException.Failed($"the guest of machine '{vm}' is not consistent: {verdict.Failures[0]}");
        if (end == RunEnd.Interrupted)
            return ExitCode.Interrupted;
        if (run is { Committed: 0, Aborted: > 0 })
            throw CommandException.Failed($"no checkpoint of machine '{vm}' could be taken: {run.LastObstacle}");
        return ExitCode.Done;
    }
}
