using System.Diagnostics;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.FaultSoak;

/// <summary>Lives of machines under random faults, one after another, on the real engine with threads.</summary>
internal sealed class Soak(IReadOnlyList<Bed> beds, ulong seed, TimeSpan duration)
{
    private const int Checkpoints = 12;
    private static readonly TimeSpan s_longestLife = TimeSpan.FromMinutes(10);

    private readonly FaultTable _hits = new();

    /// <summary>Short enough that what hangs is met within a life.</summary>
    public static CoordinatorOptions Options { get; } = new()
    {
        PrepareDeadline = TimeSpan.FromSeconds(2),
        ParkDeadline = TimeSpan.FromMilliseconds(500),
        CaptureDeadline = TimeSpan.FromMilliseconds(500),
        ResumeDeadline = TimeSpan.FromMilliseconds(500),
        StoreDeadline = TimeSpan.FromSeconds(1),
        RecoverDeadline = TimeSpan.FromSeconds(2),
        RestoreDeadline = TimeSpan.FromSeconds(5),
        StopDeadline = TimeSpan.FromSeconds(2),
        Mode = CheckpointMode.Incremental,
        Keep = null,
    };

    /// <summary>Runs until the time is over.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> RunAsync()
    {
        if (beds.Count == 0)
        {
            Console.WriteLine("skipped: this machine has no /dev/kvm, or no such --machine");
            return 0;
        }

        Console.WriteLine($"seed {seed}, {duration.TotalSeconds:0} s");
        // A first life without faults: what is loaded and compiled once belongs to no leak.
        await LiveAsync(0, _ => { }).ConfigureAwait(false);
        var before = Figures.Take();
        Console.WriteLine($"before: {before}");
        var (lives, acknowledged, failed, restored, refused, left, faults) = (0UL, 0L, 0L, 0L, 0L, 0L, 0L);
        var begun = Stopwatch.GetTimestamp();
        var told = begun;
        while (Stopwatch.GetElapsedTime(begun) < duration)
        {
            var rehearsal = await LiveAsync(++lives, plan => RandomFaults.Arm(plan, new Random(Seeds.Of(seed, (long)lives)), Bed.Vcpus)).ConfigureAwait(false);
            if (rehearsal is null)
                return 1;
            acknowledged += rehearsal.Acknowledged;
            failed += rehearsal.Failed;
            restored += rehearsal.Restored;
            refused += rehearsal.HasRefused ? 1 : 0;
            left += rehearsal.IsLeftBehind ? 1 : 0;
            faults += rehearsal.Faults.Hits;
            foreach (var count in rehearsal.Faults.Counts)
                _hits.Add(count.Kind, count.Phase ?? "outside", count.Count);
            if (rehearsal.Broken.Count > 0)
            {
                Console.WriteLine($"life {lives} of seed {seed}: {string.Join("; ", rehearsal.Broken)}");
                Console.WriteLine($"    rules: {string.Join("; ", rehearsal.Faults.Counts)}");
                return 1;
            }

            if (Stopwatch.GetElapsedTime(told) > TimeSpan.FromMinutes(1))
            {
                told = Stopwatch.GetTimestamp();
                Console.WriteLine($"{Stopwatch.GetElapsedTime(begun).TotalSeconds,6:0} s: {lives} lives, {acknowledged} checkpoints acknowledged, {failed} rounds failed, {faults} faults; {Figures.Take()}");
            }
        }

        // A thread reports its end before it is gone.
        await Task.Delay(TimeSpan.FromSeconds(1)).ConfigureAwait(false);
        var after = Figures.Take();
        Console.WriteLine($"after:  {after}");
        Console.WriteLine($"difference: {string.Join("; ", after.Since(before).DefaultIfEmpty("none"))}");
        Console.WriteLine($"{lives} lives in {Stopwatch.GetElapsedTime(begun).TotalSeconds:0} s: {faults} faults injected; {acknowledged} checkpoints acknowledged, {restored} of them restored and exact; "
            + $"{failed} rounds aborted or refused, {refused} attaches or restores refused, {left} stores left behind that hung; no deadlock");
        _hits.Print();
        return Judge(before, after, acknowledged, restored);
    }

    private static int Judge(Figures before, Figures after, long acknowledged, long restored)
    {
        var findings = new List<string>();
        if (restored != acknowledged)
            findings.Add($"{acknowledged - restored} acknowledged checkpoints were not restored");
        if (after.LeftSince(before) is { Count: > 0 } left)
            findings.Add($"something of the engine is left: {string.Join("; ", left)}");
        // The runtime keeps some of its own; a leak would be one a life.
        if (after.Fds > before.Fds + 10)
            findings.Add($"{after.Fds - before.Fds} fds are left");
        if (after.ManagedBytes > before.ManagedBytes + (32L << 20))
            findings.Add("managed memory has grown");
        foreach (var finding in findings)
            Console.WriteLine($"FOUND: {finding}");
        return findings.Count == 0 ? 0 : 1;
    }

    private async Task<Rehearsal?> LiveAsync(ulong number, Action<FaultPlan> arm)
    {
        var folder = Folders.Make();
        try
        {
            var rehearsal = new Rehearsal(beds[(int)(number % (ulong)beds.Count)], folder, seed + number, Options);
            var life = Task.Run(() => rehearsal.RunAsync(arm, Checkpoints, isOnDisk: true));
            if (await Task.WhenAny(life, Task.Delay(s_longestLife)).ConfigureAwait(false) == life)
            {
                await life.ConfigureAwait(false);
                return rehearsal;
            }

            Console.WriteLine($"DEADLOCK: life {number} of seed {seed} has not ended within {s_longestLife.TotalSeconds} s; faults: {string.Join("; ", rehearsal.Faults.Counts)}");
            return null;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
