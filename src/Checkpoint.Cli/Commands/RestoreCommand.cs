using System.CommandLine;
using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint restore</c>.</summary>
internal sealed class RestoreCommand : Verb
{
    private static readonly TimeSpan s_defaultRun = TimeSpan.FromMilliseconds(500);

    private readonly Argument<CheckpointReference?> _reference = TypedOptions.ReferenceArgument("The checkpoint: VM@latest, VM@12, or the first 8 or more digits of its id");
    private readonly KernelOptions _kernel = new();
    private readonly Option<TimeSpan?> _runFor = TypedOptions.Duration("--run-for", "How long it runs on at least, such as 200ms; 500ms unless said otherwise");
    private readonly Option<string> _clock = TypedOptions.Choice("--clock", "The guest's clock goes on from the checkpoint, or jumps ahead by the time since", "freeze", "advance");
    private readonly Option<bool> _check = new("--check") { Description = "Only say whether this host could restore it, naming each register that it refuses" };
    private readonly PolicyOption _policy = new();
    private readonly FillOption _fill = new();

    public RestoreCommand(GlobalOptions global, Surroundings around)
        : base(
            "restore",
            "Brings a checkpoint back in a new machine of this process, runs it on, and proves that it went on exactly. Nothing of it is checkpointed: that is 'run --from'.",
            "checkpoint restore a@latest --run-for 200ms",
            global,
            around)
    {
        Arguments.Add(_reference);
        _kernel.AddTo(this);
        foreach (var option in (Option[])[_runFor, _clock, _fill.Option, _check, _policy.Option])
            Options.Add(option);
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var parsed = invocation.Parsed;
        var reference = parsed.GetValue(_reference)!;
        var clock = parsed.GetValue(_clock) == "advance" ? ClockPolicy.Advance : ClockPolicy.Freeze;
        var policy = _policy.Read(parsed);
        using var kernel = await OpenKernelAsync(invocation, reference, cancellationToken).ConfigureAwait(false);
        if (parsed.GetValue(_check))
        {
            await using var reading = invocation.OpenToRead();
            return await new RestoreCheck(invocation, reading, kernel, _policy).RunAsync(reference, policy, clock, cancellationToken).ConfigureAwait(false);
        }

        var begun = invocation.Time.GetTimestamp();
        await using var engine = OpenToRecord(invocation);
        var options = new RestoreOptions { Policy = policy, Clock = clock, Fill = _fill.Read(parsed), Progress = FillOption.Show(invocation) };
        using var restored = await RestoredGuest.RestoreAsync(engine, kernel, reference, options, cancellationToken).ConfigureAwait(false);
        var restoreTime = invocation.Time.GetElapsedTime(begun);
        invocation.Progress.Clear();
        var filled = WhenFilledAsync(invocation, restored.Restored, begun);
        _policy.Report(invocation, restored.Restored.Policy, restored.Restored.Leniences);
        var continuation = await Continuation.RunAsync(
            engine,
            restored,
            parsed.GetValue(_runFor) ?? s_defaultRun,
            startTime => ReportRestored(invocation, kernel, restored, restoreTime, restoreTime + startTime),
            invocation.Time,
            cancellationToken).ConfigureAwait(false);
        ReportGuest(invocation, restored, continuation, filled.IsCompleted ? await filled.ConfigureAwait(false) : null);
        return continuation.IsVerified
            ? ExitCode.Done
            : throw CommandException.Failed($"the guest of {NameOf(restored.Restored)} did not go on exactly: {continuation.Failures[0]}");
    }

    /// <summary>The checkpoint says what kernel it needs. The store is only read for that: one that is not there is not created.</summary>
    private async Task<Kernel> OpenKernelAsync(Invocation invocation, CheckpointReference reference, CancellationToken cancellationToken)
    {
        await using var reading = invocation.OpenToRead();
        return _kernel.OpenFor(invocation, await StoredCheckpoint.LoadAsync(reading, reference, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>Opens the store so that the restore can be recorded in it. One that can only be read serves as well.</summary>
    private static CheckpointEngine OpenToRecord(Invocation invocation)
    {
        try
        {
            return invocation.OpenToWrite();
        }
        catch (StoreException)
        {
            return invocation.OpenToRead();
        }
    }

    /// <summary>How long it took from the beginning until all memory was there; null where it was filled before, or does not come.</summary>
    private static async Task<TimeSpan?> WhenFilledAsync(Invocation invocation, RestoredMachine restored, long begun)
    {
        if (restored.Filling is not { } filling)
            return null;
        await filling.Ended.ConfigureAwait(false);
        return filling.IsComplete ? invocation.Time.GetElapsedTime(begun) : null;
    }

    private static void ReportRestored(Invocation invocation, Kernel kernel, RestoredGuest guest, TimeSpan restore, TimeSpan firstRun)
    {
        var restored = guest.Restored;
        var options = guest.Guest.Program.Options;
        if (invocation.IsJson)
        {
            var line = new RestoredLine(
                restored.Vm,
                restored.Checkpoint.Number,
                restored.Checkpoint.Id.ToString(),
                options.Vcpus,
                (long)options.MemoryBytes,
                (long)restore.TotalMicroseconds,
                (long)firstRun.TotalMicroseconds,
                kernel.Kind,
                Words.Of(kernel.Architecture),
                restored.Machine.Vcpus[0].Batching,
                restored.Policy,
                restored.Leniences,
                FillOption.WordOf(restored),
                restored.FillObstacle);
            invocation.WriteJson(line, LineContext.Default.RestoredLine);
            return;
        }

        invocation.WriteText(
            $"{NameOf(restored)} is back on {kernel.Description}: {options.Vcpus} vCPUs and {ByteSize.Format((long)options.MemoryBytes)} ready after {Duration.Format(restore)}, running after {Duration.Format(firstRun)}. "
            + FillOption.Describe(restored));
    }

    private static void ReportGuest(Invocation invocation, RestoredGuest guest, Continuation continuation, TimeSpan? filled)
    {
        var (before, now) = (continuation.AtCheckpoint, continuation.Now);
        var kind = guest.Guest.Program.Kind.ToString().ToLowerInvariant();
        if (invocation.IsJson)
        {
            var line = new GuestLine(
                continuation.IsVerified, before.Steps, now.Steps, before.Hops, now.Hops, before.Ticks, now.Ticks, kind, (long)continuation.Ran.TotalMilliseconds, continuation.IsRecorded, continuation.Failures,
                (long?)filled?.TotalMicroseconds);
            invocation.WriteJson(line, LineContext.Default.GuestLine);
            return;
        }

        invocation.WriteTable(StepTable.Of(before, now));
        foreach (var failure in continuation.Failures)
            invocation.WriteText("  " + failure);
        if (filled is { } time)
            invocation.WriteText($"All memory was there after {Duration.Format(time)}.");
        if (!continuation.IsRecorded)
            invocation.WriteText("Not recorded in the journal: another process holds the machine, or the store can only be read.");
        invocation.WriteText(continuation.IsVerified
            ? $"The {kind} guest went on exactly for {Duration.Format(continuation.Ran)}: consistent at the checkpoint and now."
            : $"The {kind} guest did NOT go on exactly.");
    }

    private static string NameOf(RestoredMachine restored) => $"{restored.Vm}@{restored.Checkpoint.Number}";
}
