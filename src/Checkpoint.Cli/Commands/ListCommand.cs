using System.CommandLine;
using System.Globalization;
using Checkpoint.Actors;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint list</c>.</summary>
internal sealed class ListCommand : Verb
{
    private const int DigitsOfId = 12;

    private readonly Option<string?> _vm = TypedOptions.Machine("--vm", "Show the checkpoints of this machine; otherwise the machines");

    public ListCommand(GlobalOptions global, Surroundings around)
        : base("list", "Shows the machines of the store, or the checkpoints of one machine.", "checkpoint list --vm a", global, around) =>
        Options.Add(_vm);

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        await using var engine = invocation.OpenToRead();
        if (invocation.Parsed.GetValue(_vm) is not { } vm)
            return await ListMachinesAsync(invocation, engine, cancellationToken).ConfigureAwait(false);

        var history = await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
        if (history.Registration is null)
            throw new StoreException(StoreFailure.NotFound, $"there is no machine '{vm}'; 'checkpoint list' shows those that there are");
        var now = invocation.Time.GetUtcNow();
        ReportCheckpoints(invocation, [.. history.Live.Values.Select(each => LineOf(vm, each, history, now))]);
        return ExitCode.Done;
    }

    private static async Task<int> ListMachinesAsync(Invocation invocation, CheckpointEngine engine, CancellationToken cancellationToken)
    {
        var lines = new List<MachineLine>();
        foreach (var vm in await engine.Store.ListMachinesAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                lines.Add(LineOf(vm, await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false), invocation.Time.GetUtcNow()));
            }
            catch (IntegrityException exception)
            {
                // One damaged stream does not hide the other machines.
                lines.Add(new MachineLine(vm, null, null, null, 0, null, null, null, null, 0, [], exception.Message));
            }
        }

        ReportMachines(invocation, lines);
        var damaged = lines.Count(line => line.Damaged is not null);
        return damaged == 0
            ? ExitCode.Done
            : throw new CommandException(ExitCode.Damaged, lines.First(line => line.Damaged is not null).Damaged! + (damaged > 1 ? $" (and {damaged - 1} machines more)" : ""));
    }

    private static MachineLine LineOf(string vm, MachineHistory history, DateTimeOffset now)
    {
        var latest = history.Live.IsEmpty ? null : history.Live.Values.Last();
        return new MachineLine(
            vm,
            history.Registration is { } known ? Words.Of(known.Architecture) : null,
            history.Registration?.Vcpus,
            history.Registration?.MemoryBytes,
            history.Live.Count,
            latest?.Number,
            latest?.Id.ToString(),
            latest?.At,
            latest is null ? null : AgeMs(latest, now),
            history.Live.Values.Sum(each => each.State.SizeBytes + (each.Segment?.SizeBytes ?? 0)),
            [.. history.Pinned],
            null);
    }

    private static CheckpointLine LineOf(string vm, MachineEvent.CheckpointCommitted committed, MachineHistory history, DateTimeOffset now) => new(
        vm,
        committed.Number,
        committed.Id.ToString(),
        committed.At,
        AgeMs(committed, now),
        Words.Of(committed.Mode),
        committed.Parent,
        Words.Of(committed.Trigger),
        committed.Label,
        history.Pinned.Contains(committed.Number),
        committed.Timings.PauseUs,
        committed.State.SizeBytes,
        committed.Segment?.SizeBytes ?? 0,
        committed.MemoryBytes,
        committed.DirtyPages);

    // The wall clock may have been set back since.
    private static long AgeMs(MachineEvent.CheckpointCommitted committed, DateTimeOffset now) => Math.Max(0, (long)(now - committed.At).TotalMilliseconds);

    private static void ReportMachines(Invocation invocation, List<MachineLine> lines)
    {
        if (invocation.IsJson)
        {
            lines.ForEach(line => invocation.WriteJson(line, LineContext.Default.MachineLine));
            return;
        }

        if (lines.Count == 0)
        {
            invocation.WriteText("The store has no machines.");
            return;
        }

        var table = new TextTable("machine", "arch", ">vCPUs", ">memory", ">checkpoints", ">latest", "id", ">age", ">stored", ">pinned");
        foreach (var line in lines)
        {
            table.Add(
                line.Vm, line.Arch ?? "-", Number(line.Vcpus), line.MemoryBytes is { } memory ? ByteSize.Format(memory) : "-",
                line.Damaged is null ? Number(line.Checkpoints) : "damaged", Number(line.Latest), Short(line.LatestId),
                Age(line.LatestAgeMs), ByteSize.Format(line.StoredBytes), Number(line.Pinned.Count));
        }

        invocation.WriteTable(table);
    }

    private static void ReportCheckpoints(Invocation invocation, List<CheckpointLine> lines)
    {
        if (invocation.IsJson)
        {
            lines.ForEach(line => invocation.WriteJson(line, LineContext.Default.CheckpointLine));
            return;
        }

        if (lines.Count == 0)
        {
            invocation.WriteText("The machine has no checkpoints.");
            return;
        }

        var table = new TextTable(">number", "id", ">age", "mode", ">parent", ">pause", ">state", ">memory", "pinned", "label");
        foreach (var line in lines)
        {
            table.Add(
                Number(line.Checkpoint), Short(line.Id), Age(line.AgeMs), line.Mode, Number(line.Parent), Duration.FormatUs(line.PauseUs),
                ByteSize.Format(line.StateBytes), ByteSize.Format(line.SegmentBytes), line.Pinned ? "pinned" : "", line.Label ?? "");
        }

        invocation.WriteTable(table);
    }

    private static string Number(long? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";

    private static string Short(string? id) => id?[..DigitsOfId] ?? "-";

    private static string Age(long? milliseconds) => milliseconds is { } value ? Duration.Format(TimeSpan.FromMilliseconds(value)) : "-";
}
