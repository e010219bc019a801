using System.CommandLine;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint verify</c>.</summary>
internal sealed class VerifyCommand : Verb
{
    private readonly Argument<CheckpointReference?> _reference = TypedOptions.ReferenceArgument(
        "One checkpoint, with those that it builds on: VM@latest, VM@12, or the first 8 or more digits of its id; all of the store unless said otherwise", isOptional: true);

    public VerifyCommand(GlobalOptions global, Surroundings around)
        : base(
            "verify",
            "Reads everything back and checks it: the chain of events, each state document's digest, each page of memory. Machines may run meanwhile.",
            "checkpoint verify a@latest",
            global,
            around) =>
        Arguments.Add(_reference);

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        await using var engine = invocation.OpenToRead();
        var (vm, number) = ((string?)null, (long?)null);
        var report = new VerifyReport(0, 0, []);
        try
        {
            if (invocation.Parsed.GetValue(_reference) is { } reference)
            {
                var found = await engine.FindAsync(reference, cancellationToken).ConfigureAwait(false);
                (vm, number) = (found.Vm, found.Checkpoint.Number);
            }

            report = await engine.Store.VerifyAsync(vm, number, new Reading(invocation.Progress), cancellationToken).ConfigureAwait(false);
        }
        catch (IntegrityException exception)
        {
            // The database itself, or the stream that would say which checkpoint is meant: nothing behind it can be read.
            var what = exception.SequenceNumber is { } sequence ? $"event {sequence}: {exception.What}" : exception.What;
            report = report with { Damages = [new Damage(exception.Vm, exception.Checkpoint, exception.Part, what)] };
        }
        finally
        {
            invocation.Progress.Clear();
        }

        Report(invocation, report);
        return report.Damages.Count == 0
            ? ExitCode.Done
            : throw new CommandException(ExitCode.Damaged, $"damaged parts: {report.Damages.Count}; checkpoints that were checked: {report.Checkpoints}");
    }

    private static void Report(Invocation invocation, VerifyReport report)
    {
        if (invocation.IsJson)
        {
            var damaged = report.Damages.Select(damage => new DamagedLine(damage.Vm, damage.Checkpoint, damage.Part, damage.What));
            var uncommitted = report.Uncommitted.Select(each => new UncommittedLine(each.Vm, each.Checkpoint));
            invocation.WriteJson(new VerifyLine(report.Checkpoints, report.Segments, [.. damaged], [.. uncommitted]), LineContext.Default.VerifyLine);
            return;
        }

        foreach (var damage in report.Damages)
        {
            var where = damage.Checkpoint is { } number ? $"{damage.Vm}@{number}" : damage.Vm;
            invocation.WriteText($"{where}: {damage.Part}: {damage.What.ReplaceLineEndings(" ")}");
        }

        foreach (var each in report.Uncommitted)
            invocation.WriteText($"{each.Vm}@{each.Checkpoint}: not committed: it is being taken, or its process ended meanwhile and the machine's next start removes it");
        invocation.WriteText($"{report.Checkpoints} checkpoints and {report.Segments} memory segments were read; damaged parts: {report.Damages.Count}.");
    }

    // Not the framework's Progress<T>: that reports on another thread, and might after the command has ended.
    private sealed class Reading(ProgressLine line) : IProgress<VerifyProgress>
    {
        public void Report(VerifyProgress value) =>
            line.Report(() => $"reading {value.Vm}@{value.Checkpoint}: {ByteSize.Format(value.Bytes)}");
    }
}
