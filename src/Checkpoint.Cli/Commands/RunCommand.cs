using System.CommandLine;
using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint run</c>.</summary>
internal sealed class RunCommand : Verb
{
    private static readonly TimeSpan s_defaultEvery = TimeSpan.FromMilliseconds(100);

    private readonly Option<string?> _vm = TypedOptions.Machine("--vm", "The machine's name in the store; with --from the name of the checkpoint's machine unless said otherwise");
    private readonly KernelOptions _kernel = new();
    private readonly GuestShape _shape = new();
    private readonly Option<TimeSpan?> _every = TypedOptions.Duration("--every", "From one checkpoint to the next, such as 20ms; 100ms unless said otherwise");
    private readonly Option<TimeSpan?> _for = TypedOptions.Duration("--for", "Stop after this time, such as 10s; otherwise at SIGINT or SIGTERM");
    private readonly Option<int?> _checkpoints = TypedOptions.Number("--checkpoints", "Stop after this many checkpoints", 1, int.MaxValue);
    private readonly Option<int?> _keep = TypedOptions.Number("--keep", "Keep the newest N checkpoints and the pinned ones, also where the disk is full; otherwise all are kept", 1, int.MaxValue);
    private readonly Option<string> _mode = TypedOptions.Choice("--mode", "How much memory a checkpoint holds: all of it, or what has changed", "full", "incremental");
    private readonly Option<bool> _compress = new("--compress") { Description = "Compress the memory as it is stored, after the guest runs again" };
    private readonly Option<TimeSpan?> _maxPause = TypedOptions.Duration(
        "--max-pause", "How long a checkpoint may pause the guest, such as 2ms; otherwise as long as it takes", OptionLimits.LongestDeadline);
    private readonly Option<string> _overMaxPause = TypedOptions.Choice(
        "--over-max-pause", "What happens where a guest writes too fast for --max-pause: its writes wait, the checkpoint is refused, or the pause is longer", "protect", "refuse", "exceed");
    private readonly Option<CheckpointReference?> _from = TypedOptions.Reference("--from", "Begin with this checkpoint instead of a new machine: VM@latest, VM@12 or 8 digits of its id");
    private readonly PolicyOption _policy = new();
    private readonly FaultsOption _faults = new();
    private readonly FillOption _fill = new();

    public RunCommand(GlobalOptions global, Surroundings around)
        : base("run", "Runs a machine under periodic checkpoints, a new one or one brought back with --from.", "checkpoint run --vm a --every 100ms --for 10s --keep 20", global, around)
    {
        Options.Add(_vm);
        _kernel.AddTo(this);
        _shape.AddTo(this);
        foreach (var option in (Option[])[_every, _for, _checkpoints, _keep, _mode, _maxPause, _overMaxPause, _compress, _from, _policy.Option, _faults.Option, _fill.Option])
            Options.Add(option);
        Validators.Add(result =>
        {
            if (result.GetResult(_vm) is null && result.GetResult(_from) is null)
                result.AddError("--vm is missing: name the machine, such as --vm a");
            if (result.GetResult(_for) is not null && result.GetResult(_checkpoints) is not null)
                result.AddError("--for and --checkpoints exclude each other: say when to stop in one way");
            if (result.GetResult(_policy.Option) is not null && result.GetResult(_from) is null)
                result.AddError("--policy is for checkpoints that are brought back: it needs --from");
            if (result.GetResult(_overMaxPause) is { Implicit: false } && result.GetResult(_maxPause) is null)
                result.AddError("--over-max-pause says what happens above --max-pause: give that, too");
            if (result.GetResult(_fill.Option) is { Implicit: false } && result.GetResult(_from) is null)
                result.AddError("--fill is for checkpoints that are brought back: it needs --from");
        });
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        return parsed.GetValue(_from) is { } from
            ? await GoOnAsync(invocation, from, cancellationToken).ConfigureAwait(false)
            : await BeginAsync(invocation, cancellationToken).ConfigureAwait(false);
    }

    private async Task<int> BeginAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        var options = _shape.OptionsOf(parsed, _kernel.ArchitectureOf(parsed), invocation.Around);
        var faults = _faults.Read(parsed);
        _faults.RequireSuited(parsed, faults, options.Vcpus);
        return await ReportAsync(invocation, parsed.GetValue(_vm)!, faults, BuildAndRunAsync, cancellationToken).ConfigureAwait(false);

        async Task<int> BuildAndRunAsync(RunReport report)
        {
            using var kernel = _kernel.OpenNew(invocation, options.Seed, faults);
            _shape.RequireSuited(parsed, kernel);
            await using var engine = invocation.OpenToWrite(faults);
            using var guest = _shape.Create(kernel, parsed, options);
            return await RunAsync(invocation, engine, kernel, guest, null, report, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<int> GoOnAsync(Invocation invocation, CheckpointReference from, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        if (_shape.IsGiven(parsed))
            throw CommandException.Usage("--vcpus, --memory, --guest and --seed are for new machines: with --from they are the checkpoint's");
        var policy = _policy.Read(parsed);
        var faults = _faults.Read(parsed);
        var stored = await FindAsync(invocation, from, cancellationToken).ConfigureAwait(false);
        _faults.RequireSuited(parsed, faults, stored.Document.Vcpus.Length);
        return await ReportAsync(invocation, parsed.GetValue(_vm) ?? stored.Vm, faults, RestoreAndRunAsync, cancellationToken).ConfigureAwait(false);

        async Task<int> RestoreAndRunAsync(RunReport report)
        {
            using var kernel = _kernel.OpenFor(invocation, stored, faults);
            await using var engine = invocation.OpenToWrite(faults);
            var options = new RestoreOptions { Policy = policy, Fill = _fill.Read(parsed), Progress = FillOption.Show(invocation) };
            using var restored = await RestoredGuest.RestoreAsync(engine, kernel, from, options, cancellationToken).ConfigureAwait(false);
            invocation.Progress.Clear();
            _policy.Report(invocation, restored.Restored.Policy, restored.Restored.Leniences);
            return await RunAsync(invocation, engine, kernel, restored.Guest, restored.Restored, report, cancellationToken).ConfigureAwait(false);
        }
    }

    // Faults are told from the first call on: one that hangs while the machine is built would otherwise be a silence.
    private async Task<int> ReportAsync(
        Invocation invocation, string vm, FaultPlan? faults, Func<RunReport, Task<int>> run, CancellationToken cancellationToken)
    {
        // Whoever interrupts ends the rehearsal: what hangs goes on, wherever that is.
        using var over = cancellationToken.Register(() => faults?.Disarm());
        var report = new RunReport(invocation, vm, invocation.Parsed.GetValue(_maxPause));
        report.Follow(faults);
        try
        {
            return await run(report).ConfigureAwait(false);
        }
        finally
        {
            await report.EndAsync().ConfigureAwait(false);
        }
    }

    /// <summary>A store that is not there must not come into being because somebody looked for a checkpoint in it.</summary>
    private static async Task<StoredCheckpoint> FindAsync(Invocation invocation, CheckpointReference reference, CancellationToken cancellationToken)
    {
        await using var reading = invocation.OpenToRead();
        return await StoredCheckpoint.LoadAsync(reading, reference, cancellationToken).ConfigureAwait(false);
    }

    private async Task<int> RunAsync(
        Invocation invocation, CheckpointEngine engine, Kernel kernel, GuestMachine guest, RestoredMachine? restored, RunReport report, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        var vm = parsed.GetValue(_vm) ?? restored!.Vm;
        var keep = parsed.GetValue(_keep);
        var mode = parsed.GetValue(_mode) == "incremental" ? CheckpointMode.Incremental : CheckpointMode.Full;
        var compress = parsed.GetValue(_compress);
        var limits = new RunLimits(parsed.GetValue(_every) ?? s_defaultEvery, parsed.GetValue(_for), parsed.GetValue(_checkpoints));
        var attachment = new MachineAttachment(guest.Machine, kernel.ExitsOf(guest))
        {
            Devices = [.. kernel.DevicesOf(guest)],
            Options = new CoordinatorOptions
            {
                Keep = keep,
                Mode = mode,
                Compress = compress,
                MaxPause = parsed.GetValue(_maxPause),
                OverMaxPause = OverMaxPauseOf(parsed.GetValue(_overMaxPause)),
            },
            RestoredFrom = restored,
        };
        var stored = (await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false)).Live;
        await using var machine = await engine.AttachAsync(vm, attachment, cancellationToken).ConfigureAwait(false);
        if (restored is null && stored.Count > 0)
            invocation.Progress.Say(Anew(vm, stored.Count, keep));
        machine.Noticed += (_, notice) => report.Notice(notice);
        if (kernel.Faults is { } faults)
            faults.PhaseSource = () => machine.Phase?.ToString();
        var run = new CheckpointedRun(machine, limits, invocation.Time, report.Round)
        {
            Ending = () =>
            {
                // The rehearsal ends with the run: what hangs goes on, and the machine stops as ever.
                kernel.Faults?.Disarm();
                if (cancellationToken.IsCancellationRequested)
                    restored?.Filling?.GiveUp("the run was interrupted");
            },
        };
        var end = await run.UntilEndAsync(() => report.Started(kernel, guest, restored, limits, attachment.Options), cancellationToken).ConfigureAwait(false);
        // A guest whose memory does not come has not gone wrong: its checkpoint is damaged.
        if (restored?.Filling?.Failure is { } lost)
        {
            await report.CompleteAsync().ConfigureAwait(false);
            throw lost;
        }

        var verdict = VerdictOn(guest, machine.LeftBehind);
        report.Stopped(kernel, run, end, verdict);
        await report.CompleteAsync().ConfigureAwait(false);
        return ExitCodeOf(vm, run, end, verdict);
    }

    // A vCPU that has not stopped keeps its registers to itself; one that has died, or a machine that has gone away, cannot be read:
    // the run tells how it ended all the same.
    private static GuestVerdict VerdictOn(GuestMachine guest, IReadOnlyList<string> leftBehind)
    {
        if (leftBehind.Count > 0)
            return GuestVerdict.Unknown($"{leftBehind[0]} has not stopped");
        try
        {
            return guest.Verify();
        }
        catch (KvmException gone)
        {
            return GuestVerdict.Unknown($"the machine cannot be read any more: {gone.Message}");
        }
    }

    private static OverMaxPause OverMaxPauseOf(string? word) => word switch
    {
        "refuse" => OverMaxPause.Refuse,
        "exceed" => OverMaxPause.Exceed,
        _ => OverMaxPause.Protect,
    };

    // Somebody who runs the same line again after a crash may have meant to go on.
    private static string Anew(string vm, int stored, int? keep) =>
        $"Machine '{vm}' begins anew; its {stored} stored checkpoints {(keep is null ? "stay" : "go one by one as --keep takes them")}. "
        + $"--from {vm}@latest would have gone on from the last.";

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
