using Checkpoint.Actors;
using Checkpoint.Cli.Demo;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Commands;

/// <summary>Tells what the demonstration does: a story for a person, its last line for a program.</summary>
internal sealed class DemoReport(Invocation invocation, Kernel kernel, GuestOptions shape, GuestKind kind, TimeSpan every)
{
    private string Guest => Words.Of(kind);

    public void Killed(Killing killing)
    {
        if (invocation.IsJson)
            return;
        invocation.WriteText(
            $"Process {killing.ChildId} ran a {Guest} guest on {kernel.Description}, {shape.Vcpus} vCPUs and {ByteSize.Format((long)shape.MemoryBytes)}, "
            + $"with a checkpoint every {Duration.Format(every)}.");
        invocation.WriteText(
            $"After {Duration.Format(killing.After)} it was killed with SIGKILL. It had acknowledged {killing.Committed} checkpoints, the last was number {killing.LastAcknowledged}.");
        invocation.WriteText(
            $"Each paused the guest for {Duration.FormatUs(killing.Pauses.P50)} (median), {Duration.FormatUs(killing.Pauses.P99)} (p99), {Duration.FormatUs(killing.Pauses.Max)} (longest).");
    }

    public void Ended(Killing killing, RestoredMachine restored, Continuation continuation, IReadOnlyList<string> failures, TimeSpan restore, TimeSpan firstRun)
    {
        var (before, now) = (continuation.AtCheckpoint, continuation.Now);
        if (invocation.IsJson)
        {
            var line = new DemoLine(
                kernel.Kind,
                Words.Of(kernel.Architecture),
                Guest,
                shape.Vcpus,
                (long)shape.MemoryBytes,
                shape.Seed,
                restored.Machine.Vcpus[0].Batching,
                every.TotalMilliseconds,
                (long)killing.After.TotalMilliseconds,
                killing.Committed,
                killing.LastAcknowledged,
                restored.Checkpoint.Number,
                restored.Checkpoint.Id.ToString(),
                failures.Count == 0,
                killing.Pauses,
                (long)restore.TotalMicroseconds,
                (long)firstRun.TotalMicroseconds,
                (long)continuation.Ran.TotalMilliseconds,
                before.Steps,
                now.Steps,
                failures);
            invocation.WriteJson(line, LineContext.Default.DemoLine);
            return;
        }

        invocation.WriteText("");
        invocation.WriteText(
            $"A new machine in this process holds checkpoint {restored.Checkpoint.Number} after {Duration.Format(restore)} and runs after {Duration.Format(firstRun)}. "
            + $"It ran on for {Duration.Format(continuation.Ran)}:");
        invocation.WriteTable(StepTable.Of(before, now));
        foreach (var failure in failures)
            invocation.WriteText("  " + failure);
        invocation.WriteText(failures.Count > 0 ? "NOT verified." : Proof(before, now));
    }

    private string Proof(GuestVerdict before, GuestVerdict now) => kind switch
    {
        GuestKind.Ledger => $"Verified: each of the {now.TokenHops.Count} tokens that the vCPUs pass around, in memory or in a register, is there exactly once, at the checkpoint "
            + $"({before.Hops:N0} hops) and now ({now.Hops:N0} hops).",
        GuestKind.Timer => "Verified: memory, general, x87, vector and debug registers of every vCPU hold what the host computes for that step, at the checkpoint and now, "
            + $"and no tick of their timers is lost ({before.AllTicks:N0} at the checkpoint, {now.AllTicks:N0} now).",
        _ => $"Verified: memory, general{(kernel.Architecture == MachineArchitecture.X64 ? ", x87" : "")} and vector registers of every vCPU hold what the host computes for that step, at the checkpoint and now.",
    };
}
