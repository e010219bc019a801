using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.FaultSoak;

/// <summary>How one call of a whole family failed in turn.</summary>
/// <param name="Call">The call.</param>
/// <param name="Reached">The last n at which a run had a failure.</param>
/// <param name="Runs">How many runs there were.</param>
/// <param name="Next">The n to go on with; null where a run had no failure.</param>
/// <param name="Broken">What did not hold, each with the n.</param>
internal sealed record CallReport(string Call, long Reached, int Runs, long? Next, IReadOnlyList<string> Broken);

/// <summary>
/// A call fails on its n-th time, for n = 1, 2, … until a run has no failure; each n once alone and once lasting from there on.
/// </summary>
internal static class EveryCall
{
    private const int Checkpoints = 3;
    private const int Eio = 5;
    private const int Enospc = 28;

    // Only a deadlock takes so long, however busy the machine is: a run has no hang in it, and less than a second's work.
    private static readonly TimeSpan s_deadlock = TimeSpan.FromMinutes(10);

    /// <summary>Deadlines that only a hang reaches, but for a store that stays away.</summary>
    public static CoordinatorOptions Options { get; } = new()
    {
        ParkDeadline = TimeSpan.FromSeconds(20),
        CaptureDeadline = TimeSpan.FromSeconds(20),
        ResumeDeadline = TimeSpan.FromSeconds(20),
        RecoverDeadline = TimeSpan.FromMilliseconds(300),
        Mode = CheckpointMode.Incremental,
    };

    /// <summary>All calls at which something can fail.</summary>
    public static IEnumerable<string> Calls => FaultCalls.Names.Where(name => (FaultCalls.AbilitiesOf(name) & FaultAbilities.Fails) != 0);

    /// <summary>Lets one call fail.</summary>
    /// <param name="bed">Where.</param>
    /// <param name="call">Which call.</param>
    /// <param name="next">The n after an n; null: no further.</param>
    /// <param name="from">The first n.</param>
    public static async Task<CallReport> WalkAsync(Bed bed, string call, Func<long, long?> next, long from = 1)
    {
        var broken = new List<string>();
        var (runs, reached) = (0, 0L);
        List<bool> ways = [false, true];
        long? last = null;
        for (long? n = from; n is { } number && ways.Count > 0; n = next(number))
        {
            foreach (var lasting in ways.ToList())
            {
                runs++;
                if (await RunAsync(bed, call, number, lasting, broken).ConfigureAwait(false) == 0)
                    ways.Remove(lasting);
                else
                    reached = number;
            }

            last = number;
        }

        return new CallReport(call, reached, runs, ways.Count == 0 ? null : last + 1, broken);
    }

    /// <summary>One run.</summary>
    /// <returns>How many faults were injected.</returns>
    public static async Task<long> RunAsync(Bed bed, string call, long number, bool lasting, List<string> broken)
    {
        var folder = Folders.Make();
        try
        {
            var rehearsal = new Rehearsal(bed, folder, (ulong)number, Options);
            var run = rehearsal.RunAsync(faults => Arm(faults, call, number, lasting), Checkpoints, isOnDisk: !bed.IsSimulated);
            var what = $"{bed.Name} {call} n={number}{(lasting ? " lasting" : "")}";
            if (await Task.WhenAny(run, Task.Delay(s_deadlock)).ConfigureAwait(false) != run)
            {
                broken.Add($"{what}: it did not end within {s_deadlock.TotalMinutes} minutes");
                return 1;
            }

            await run.ConfigureAwait(false);
            broken.AddRange(rehearsal.Broken.Select(each => $"{what}: {each}"));
            return rehearsal.Faults.Counts.Where(count => count.Call == call).Sum(count => count.Count);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Arm(FaultPlan faults, string call, long number, bool lasting)
    {
        // What is called only after something else has gone wrong.
        if (call is FaultCalls.JournalProve or FaultCalls.FileDelete)
            faults.On(FaultCalls.JournalAppend, call: 2).Times(2).EndUnknown(written: false);
        var trigger = faults.On(call, call: number);
        if (lasting)
            trigger = trigger.AndAfter();
        if ((FaultCalls.AbilitiesOf(call) & FaultAbilities.Commits) != 0)
            trigger.EndUnknown();
        else
            trigger.Fail(call == FaultCalls.FileWrite ? Enospc : Eio);
    }
}
