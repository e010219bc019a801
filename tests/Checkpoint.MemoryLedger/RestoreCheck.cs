using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.MemoryLedger;

/// <summary>Brings checkpoints back beside their running machine, and says in what they are not what was taken.</summary>
internal sealed class RestoreCheck(CheckpointEngine engine, IKvm kvm)
{
    private const int DifferencesShown = 5;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    /// <summary>Restores a checkpoint, compares all its pages, counts its tokens, runs it on and counts them again.</summary>
    /// <param name="reference">The checkpoint.</param>
    /// <param name="digests">What its pages were.</param>
    /// <param name="runsFirst">Whether the guest runs before anybody else looks at the memory; then only pages that it leaves alone can be compared.</param>
    /// <returns>False where it was pruned meanwhile.</returns>
    /// <exception cref="DifferenceException">Something is not as it was.</exception>
    public async Task<bool> RestoreAsync(CheckpointReference.Numbered reference, byte[] digests, bool runsFirst)
    {
        RestoredMachine restored;
        try
        {
            restored = await engine.RestoreAsync(kvm, reference).ConfigureAwait(false);
        }
        catch (StoreException failure) when (failure.Failure == StoreFailure.NotFound)
        {
            return false;
        }

        using (restored)
        {
            if (!runsFirst)
                Compare(restored, digests, "before it runs");
            var guest = GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
            var before = runsFirst ? null : guest.Verify(restored.Document.Vcpus);
            if (before is { Ok: false })
                throw new DifferenceException($"the guest of {reference} is not consistent: {before.Failures[0]}");
            await RunOnAsync(restored, guest, reference, before).ConfigureAwait(false);
            Fail(reference, "after it ran on", ReferenceMemory.Differences(restored.Machine.Memory, digests, guest.Program.UsedMemoryBytes));
            return true;
        }
    }

    /// <summary>Compares all pages of a machine that has not run yet.</summary>
    /// <exception cref="DifferenceException">Some are not as they were.</exception>
    public void Compare(RestoredMachine restored, byte[] digests, string when) =>
        Fail(new CheckpointReference.Numbered(restored.Vm, restored.Checkpoint.Number), when, ReferenceMemory.Differences(restored.Machine.Memory, digests));

    private static void Fail(CheckpointReference reference, string when, IEnumerable<string> differences)
    {
        var all = differences.ToList();
        if (all.Count > 0)
            throw new DifferenceException($"{reference} restored, {when}: {all.Count} pages differ:\n  {string.Join("\n  ", all.Take(DifferencesShown))}");
    }

    private async Task RunOnAsync(RestoredMachine restored, GuestMachine guest, CheckpointReference reference, GuestVerdict? before)
    {
        var watch = new ExitWatch(guest, guest.Machine.Vcpus.Length);
        await using var running = await engine.RunAsync(restored, new MachineAttachment(guest.Machine, watch)).ConfigureAwait(false);
        running.Start();
        var first = await Task.WhenAny(watch.All, running.ParticipantEnded, Task.Delay(s_patience)).ConfigureAwait(false);
        await running.StopAsync().ConfigureAwait(false);
        var after = guest.Verify();
        var failures = before is null ? after.Failures : after.FailuresSince(before);
        if (failures.Count > 0)
            throw new DifferenceException($"the guest of {reference} is not consistent after it ran on: {failures[0]}");
        if (first != watch.All)
            throw new DifferenceException($"the guest of {reference} did not run on: {(first == running.ParticipantEnded ? await running.ParticipantEnded.ConfigureAwait(false) : $"nothing for {s_patience}")}");
    }
}
