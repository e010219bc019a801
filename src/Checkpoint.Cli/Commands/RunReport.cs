using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Cli.Commands;

/// <summary>Tells what a run does, for a person or for a program.</summary>
/// <param name="invocation">Where to.</param>
/// <param name="vm">The machine.</param>
/// <param name="maxPause">How long a pause may be; null for as long as it takes.</param>
internal sealed class RunReport(Invocation invocation, string vm, TimeSpan? maxPause)
{
    private readonly LineQueue _lines = new(invocation.Around.Out, invocation.Time);

    private long _over;

    private bool _isCompleted;

    private const string Columns = "    number      pause       park    capture    durable      state     memory  pruned";

    /// <summary>The guest runs.</summary>
    public void Started(Kernel kernel, GuestMachine guest, RestoredMachine? restored, RunLimits limits, CoordinatorOptions checkpoints)
    {
        var options = guest.Program.Options;
        var kind = Words.Of(guest.Program.Kind);
        var from = restored is null ? null : $"{restored.Vm}@{restored.Checkpoint.Number}";
        if (invocation.IsJson)
        {
            var line = new StartedLine(
                vm, kernel.Kind, Words.Of(kernel.Architecture), kind, options.Vcpus, (long)options.MemoryBytes, options.Seed, limits.Every.TotalMilliseconds, checkpoints.Keep, Words.Of(checkpoints.Mode), checkpoints.Compress, from,
                restored?.Policy, restored?.Leniences, restored is null ? null : FillOption.WordOf(restored), Environment.ProcessId);
            _lines.Add(JsonLine.Of(line, LineContext.Default.StartedLine));
            return;
        }

        var what = from is null ? $"a new {kind} guest" : $"the {kind} guest of {from}";
        var kept = checkpoints.Keep is { } keep ? $"the newest {keep} are kept" : "all are kept";
        Say(
            $"Machine '{vm}' runs {what} on {kernel.Description}: {options.Vcpus} vCPUs, {ByteSize.Format((long)options.MemoryBytes)}. "
            + $"A checkpoint every {Duration.Format(limits.Every)}; {kept}.");
        Say(Columns);
    }

    /// <summary>A round has ended.</summary>
    public void Round(CheckpointOutcome outcome)
    {
        switch (outcome)
        {
            case CheckpointOutcome.Committed committed:
                Committed(committed);
                break;
            case CheckpointOutcome.Aborted aborted:
                Aborted(aborted);
                break;
            case CheckpointOutcome.Refused refused:
                Aborted(new CheckpointOutcome.Aborted(
                    new MachineEvent.CheckpointAborted(refused.Obstacle.Describe(), null, null, null) { At = invocation.Time.GetUtcNow() }));
                break;
            default:
                break;
        }
    }

    /// <summary>Tells of each of these faults from now on.</summary>
    public void Follow(FaultPlan? faults)
    {
        if (faults is null)
            return;
        faults.Injected += hit =>
        {
            try
            {
                Fault(hit);
            }
            catch (CommandException)
            {
                // Nobody reads the output: the run hears of that with its next round. The call that is to fail fails all the same.
            }
        };
    }

    private void Fault(FaultHit hit)
    {
        if (invocation.IsJson)
            _lines.Add(JsonLine.Of(new FaultLine(vm, hit.Action.Kind, hit.Site.Call, hit.Site.Participant, hit.Number, hit.Phase, hit.Action.Describe()), LineContext.Default.FaultLine));
        else
            Say($"   fault   {hit}");
    }

    /// <summary>Something has happened to the machine's store.</summary>
    public void Notice(MachineNotice notice)
    {
        if (invocation.IsJson)
            _lines.Add(JsonLine.Of(new NoticeLine(vm, Words.Of(notice), notice.Describe()), LineContext.Default.NoticeLine));
        else
            Say($"   store   {notice.Describe()}");
    }

    /// <summary>The run is over.</summary>
    public void Stopped(Kernel kernel, CheckpointedRun run, RunEnd end, GuestVerdict verdict)
    {
        var pauses = run.Pauses.ToLine();
        if (invocation.IsJson)
        {
            var reason = end.ToString().ToLowerInvariant();
            var line = new StoppedLine(
                vm, reason, run.Committed, run.Aborted, run.LastCheckpoint, (long)run.Ran.TotalMilliseconds, pauses, maxPause is null ? null : _over, verdict.Ok, verdict.Steps, verdict.Failures, kernel.Faults?.Hits);
            _lines.Add(JsonLine.Of(line, LineContext.Default.StoppedLine));
            return;
        }

        var pause = pauses is null ? "" : $" Pause {Duration.FormatUs(pauses.P50)} median, {Duration.FormatUs(pauses.P99)} p99, {Duration.FormatUs(pauses.Max)} longest{Over()}.";
        var last = run.LastCheckpoint is { } number ? $", the last is {vm}@{number}" : "";
        Say($"{run.Committed} checkpoints in {Duration.Format(run.Ran)}{last}; {run.Aborted} aborted.{pause}");
        if (kernel.Faults is { } faults)
            Say($"{faults.Hits} faults injected{string.Concat(faults.Counts.GroupBy(count => count.Kind).Select(kind => $", {kind.Sum(count => count.Count)} {kind.Key}"))}.");
        Say(verdict.Ok
            ? "The guest is consistent."
            : $"The guest is NOT consistent: {verdict.Failures.Count} findings.");
    }

    /// <summary>Returns when everything is written.</summary>
    public Task CompleteAsync()
    {
        _isCompleted = true;
        return _lines.CompleteAsync();
    }

    /// <summary>Returns when everything is written, or cannot be: a run that has failed has something else to say.</summary>
    public async Task EndAsync()
    {
        if (_isCompleted)
            return;
        try
        {
            await CompleteAsync().ConfigureAwait(false);
        }
        catch (CommandException)
        {
            // What the run has failed with is told.
        }
    }

    private string Over() => maxPause is { } most ? $", {_over} over {Duration.Format(most)}" : "";

    private void Say(string text) => _lines.Add(text + "\n");

    private void Committed(CheckpointOutcome.Committed outcome)
    {
        var isOver = outcome.Checkpoint.IsOverMaxPause;
        _over += isOver is true ? 1 : 0;
        var line = CommittedLine.Of(vm, outcome.Checkpoint, outcome.Durable, isOver, outcome.Pruned);
        if (invocation.IsJson)
        {
            _lines.Add(JsonLine.Of(line, LineContext.Default.CommittedLine));
            return;
        }

        Say(
            $"{line.Checkpoint,10} {Duration.FormatUs(line.PauseUs),10} {Duration.FormatUs(line.ParkUs),10} {Duration.FormatUs(line.CaptureUs),10} "
            + $"{Duration.FormatUs(line.DurableUs),10} {ByteSize.Format(line.StateBytes),10} {ByteSize.Format(line.SegmentBytes),10} {line.Pruned.Count,7}{(isOver is true ? "  over --max-pause" : "")}");
    }

    private void Aborted(CheckpointOutcome.Aborted aborted)
    {
        var abort = aborted.Abort;
        if (invocation.IsJson)
        {
            var register = abort.Register is { } id ? RegisterNames.NameOf(id) : null;
            _lines.Add(JsonLine.Of(new AbortedLine(vm, abort.Reason, abort.Participant, register, abort.Errno, aborted.Pruned), LineContext.Default.AbortedLine));
            return;
        }

        Say($"   aborted {abort.Reason}{(aborted.Pruned.IsEmpty ? "" : $"; pruned to make room: {aborted.Pruned.Length}")}");
    }
}
