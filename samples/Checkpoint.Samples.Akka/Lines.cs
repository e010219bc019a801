using System.Text.Json;
using Checkpoint.Actors;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Samples.Akka;

/// <summary>One JSON object a line, with the names of the <c>checkpoint</c> command's lines.</summary>
internal static class Lines
{
    public static void Started(string vm) => Write(new { @event = "started", vm });

    public static void Restored(RestoredMachine restored, GuestVerdict at) => Write(new
    {
        @event = "restored",
        vm = restored.Vm,
        checkpoint = restored.Checkpoint.Number,
        verified = at.Ok,
    });

    public static void Round(RoundEnded round)
    {
        switch (round.Outcome)
        {
            case CheckpointOutcome.Committed committed:
                var timings = committed.Checkpoint.Timings;
                Write(new
                {
                    @event = "committed",
                    vm = round.Vm,
                    checkpoint = committed.Checkpoint.Number,
                    pause_us = timings.PauseUs,
                    park_us = timings.ParkUs,
                    capture_us = timings.CaptureUs,
                    durable_us = (long)committed.Durable.TotalMicroseconds,
                });
                break;
            case CheckpointOutcome.Aborted aborted:
                Write(new { @event = "aborted", vm = round.Vm, reason = aborted.Abort.Reason });
                break;
            case CheckpointOutcome.Refused refused:
                Write(new { @event = "aborted", vm = round.Vm, reason = refused.Obstacle.Describe() });
                break;
            default:
                break;
        }
    }

    public static void Noticed(MachineNoticed noticed) => Write(new { @event = "store", vm = noticed.Vm, what = noticed.Notice.Describe() });

    public static void Stopped(List<long> pausesUs, TimeSpan ran, GuestVerdict now, IReadOnlyList<string> failures)
    {
        pausesUs.Sort();
        Write(new
        {
            @event = "stopped",
            checkpoints = pausesUs.Count,
            commits_per_s = Math.Round(pausesUs.Count / ran.TotalSeconds, 1),
            pause_us_median = At(pausesUs, 0.5),
            pause_us_p99 = At(pausesUs, 0.99),
            verified = failures.Count == 0,
            steps = now.Steps,
        });
    }

    private static long At(List<long> sorted, double share) => sorted.Count == 0 ? 0 : sorted[(int)Math.Min(sorted.Count - 1, sorted.Count * share)];

    private static void Write(object line)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(line));
        Console.Out.Flush();
    }
}
