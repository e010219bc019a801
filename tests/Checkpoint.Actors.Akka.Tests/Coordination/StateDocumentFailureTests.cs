using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>The state document is a transaction of its own before the event: it can fail by itself.</summary>
[Collection(GuestCollection.Name)]
public sealed class StateDocumentFailureTests : FaultyStoreTests
{
    private static readonly AppendOutcome.Unknown s_lost = new("the disk is gone");

    [Fact]
    public async Task A_document_that_is_refused_aborts_the_round_and_the_next_one_takes_its_number()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        Store.OnAppend = Once<AppendOutcome>(IsDocument, new AppendOutcome.Refused("there is no room left"));
        Assert.Equal("the checkpoint could not be stored: there is no room left", await AbortedAsync(machine));
        Assert.Equal(0, Store.Proofs);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task After_a_document_whose_end_nobody_knows_nothing_is_appended_before_the_disk_is_proven(bool isWritten)
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        var fault = Once<AppendOutcome>(IsDocument, s_lost);
        if (isWritten)
            Store.AfterAppend = fault;
        else
            Store.OnAppend = fault;
        var before = (await Extension.Engine.Store.RecoverAsync("a")).Head;
        JournalHead? atProof = null;
        Store.OnProof = async () => atProof ??= (await Extension.Engine.Store.RecoverAsync("a")).Head;
        Assert.Equal("the checkpoint could not be stored: the disk is gone", await AbortedAsync(machine));
        Assert.Equal(before, atProof);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
        using var restored = await Extension.Engine.RestoreAsync(Kvm, new CheckpointReference.Numbered("a", 2));
    }

    [Fact]
    public async Task A_disk_that_cannot_be_proven_before_the_deadline_fences_the_coordinator_and_the_guest_runs_on()
    {
        using var guest = Guest();
        // Long enough for one proof to have failed by then, also where a processor is waited for.
        var machine = await RunningAsync(guest, Bench.Patient() with { RecoverDeadline = TimeSpan.FromSeconds(3) });
        Store.OnAppend = Once<AppendOutcome>(IsDocument, s_lost);
        Store.OnProof = () => throw new Storage.StoreException(Storage.StoreFailure.Unusable, "the disk is still gone");
        // The round itself was aborted before the journal was lost.
        await TakeAsync(machine);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        Assert.Equal(new Refusal.JournalLost("the disk is still gone"), refused.Obstacle);
        await AssertRunsOnAsync(guest);
        Store.OnProof = () => Task.CompletedTask;
        await TellAsync(machine, new MachineCommand.StopMachine());
        await AssertNextOwnerGoesOnAsync();
    }

    [Fact]
    public async Task A_proof_that_hangs_is_waited_for_until_the_deadline_and_no_longer()
    {
        using var guest = Guest();
        var hang = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var machine = await RunningAsync(guest, Bench.Patient() with { RecoverDeadline = TimeSpan.FromMilliseconds(300) });
        Store.OnAppend = Once<AppendOutcome>(IsDocument, s_lost);
        Store.OnProof = () => hang.Task;
        await TakeAsync(machine);
        var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        Assert.Equal(new Refusal.JournalLost("it did not answer within 300 ms"), refused.Obstacle);
        await AssertRunsOnAsync(guest);
        hang.SetResult();
        await TellAsync(machine, new MachineCommand.StopMachine());
        await AssertNextOwnerGoesOnAsync();
    }

    [Fact]
    public async Task A_settlement_that_was_written_without_saying_so_is_known_again()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        Store.OnAppend = Once<AppendOutcome>(IsDocument, s_lost);
        Store.AfterAppend = Once<AppendOutcome>(append => append.Events.Count > 0, s_lost);
        Assert.Equal("the checkpoint could not be stored: the disk is gone", await AbortedAsync(machine));
        Assert.Equal(2, Store.Proofs);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
    }

    private static bool IsDocument(JournalAppend append) => append.StateDocument is not null;

    // The fault comes with the first append that it is meant for.
    private static Func<JournalAppend, T?> Once<T>(Func<JournalAppend, bool> isMeant, T fault)
        where T : class
    {
        var left = 1;
        return append => isMeant(append) && Interlocked.Exchange(ref left, 0) == 1 ? fault : null;
    }

    private async Task<IActorRef> RunningAsync(GuestMachine guest, CoordinatorOptions? options = null)
    {
        var machine = (await AttachAsync(guest, options)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        Assert.Equal(1, (await CommittedAsync(machine)).Number);
        return machine;
    }

    private static async Task<string> AbortedAsync(IActorRef machine) => Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine)).Abort.Reason;

    private static async Task AssertRunsOnAsync(GuestMachine guest)
    {
        var steps = guest.Verify().Steps[0];
        await Eventually.IsTrueAsync(() => guest.Verify().Steps[0] > steps, "the guest runs on");
    }

    private async Task AssertNextOwnerGoesOnAsync()
    {
        using var other = Guest();
        Assert.Equal(2, (await CommittedAsync((await AttachAsync(other)).Machine)).Number);
        await AssertSoundAsync(2);
    }

    private async Task AssertSoundAsync(long highest)
    {
        var store = Extension.Engine.Store;
        var live = (await store.RecoverAsync("a")).Live.Keys;
        await Eventually.IsTrueAsync(() => store.Journal.ListStateDocumentsAsync("a").Result.SequenceEqual(live), "superfluous documents go");
        var report = await store.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal(highest, report.Checkpoints);
    }
}
