using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Cli.Machines;

/// <summary>What became of a restored guest.</summary>
/// <param name="AtCheckpoint">The guest as the checkpoint holds it.</param>
/// <param name="Now">The guest after it has run on.</param>
/// <param name="Failures">Why it did not go on exactly; empty when it did.</param>
/// <param name="Ran">How long it ran.</param>
/// <param name="IsRecorded">Whether the restore stands in its machine's journal.</param>
internal sealed record Continuation(GuestVerdict AtCheckpoint, GuestVerdict Now, IReadOnlyList<string> Failures, TimeSpan Ran, bool IsRecorded)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public bool IsVerified => Failures.Count == 0;

    /// <summary>Runs a restored guest on, and verifies it at the checkpoint and afterwards.</summary>
    /// <param name="engine">Where it comes from.</param>
    /// <param name="restored">The guest.</param>
    /// <param name="runFor">
    /// How long it runs at least: where a vCPU has not been given a processor by then, it runs on until each has, at most ten
    /// seconds longer.
    /// </param>
    /// <param name="started">Told how long it took to set the vCPUs going.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the run early.</param>
    public static async Task<Continuation> RunAsync(
        CheckpointEngine engine,
        RestoredGuest restored,
        TimeSpan runFor,
        Action<TimeSpan> started,
        TimeProvider time,
        CancellationToken cancellationToken)
    {
        var guest = restored.Guest;
        var before = restored.VerifyAtCheckpoint();
        var watch = new ProgressWatch(guest, guest.Program.Options.Vcpus);
        var attachment = new MachineAttachment(guest.Machine, watch) { Devices = [new GuestDevice(guest)] };

        var begun = time.GetTimestamp();
        await using var running = await engine.RunAsync(restored.Restored, attachment, cancellationToken).ConfigureAwait(false);
        running.Start();
        var startedAt = time.GetTimestamp();
        started(time.GetElapsedTime(begun, startedAt));

        await Task.WhenAny(Task.Delay(runFor, time, cancellationToken), running.ParticipantEnded).ConfigureAwait(false);
        await Task.WhenAny(watch.All, Task.Delay(s_patience, time, cancellationToken), running.ParticipantEnded).ConfigureAwait(false);
        var ran = time.GetElapsedTime(startedAt);
        if (cancellationToken.IsCancellationRequested)
            restored.Restored.Filling?.GiveUp("the restore was interrupted");
        await running.StopAsync().ConfigureAwait(false);
        var ended = await running.ParticipantEnded.ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();

        // A guest whose memory does not come has not gone wrong: its checkpoint is damaged.
        if (restored.Restored.Filling?.Failure is { } lost)
            throw lost;
        var now = running.LeftBehind.IsEmpty ? guest.Verify() : GuestVerdict.Unknown($"{running.LeftBehind[0]} has not stopped");
        List<string> failures = running.LeftBehind.IsEmpty ? [.. now.FailuresSince(before)] : [];
        if (ended is not null)
            failures.Insert(0, ended);
        return new Continuation(before, now, failures, ran, running.Recorded.IsCompleted && await running.Recorded.ConfigureAwait(false));
    }
}
