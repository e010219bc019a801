using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>A machine's lock is not given back before the journal has answered: the next owner sweeps what no event names yet.</summary>
[Collection(GuestCollection.Name)]
public sealed class LateWriteTests : ActorSystemTests
{
    private static readonly TimeSpan s_delay = TimeSpan.FromSeconds(2);

    public LateWriteTests()
        : base(FaultyJournal.Settings)
    {
        FaultyJournal.Reset();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_commit_whose_coordinator_was_ended_before_the_journal_answered_is_a_commit(bool isKilled)
    {
        using var guest = Guest();
        var (attached, round) = await WithWriteUnderWayAsync(guest);
        ChildOf(attached.Machine, "coordinator").Tell(isKilled ? Kill.Instance : PoisonPill.Instance);
        var outcome = await round;
        Assert.True(outcome is CheckpointOutcome.Committed { Checkpoint.Number: 2 }, outcome.ToString());
        Assert.Equal(3, (await CommittedAsync(attached.Machine)).Number);
        await TellAsync(attached.Machine, new MachineCommand.StopMachine());
        await AssertNextOwnerFindsAsync(3);
    }

    [Fact]
    public async Task A_stop_that_meets_an_unanswered_write_gives_the_lock_back_after_the_answer()
    {
        using var guest = Guest();
        var (attached, _) = await WithWriteUnderWayAsync(guest);
        ChildOf(attached.Machine, "coordinator").Tell(PoisonPill.Instance);
        await TellAsync(attached.Machine, new MachineCommand.StopMachine());
        Assert.True(FaultyJournal.Landed.IsCompleted, "the stop waits for the journal");
        await AssertNextOwnerFindsAsync(2);
    }

    [Fact]
    public async Task A_verification_between_the_document_and_its_event_tells_of_a_checkpoint_that_is_not_committed_and_of_no_damage()
    {
        using var guest = Guest();
        var (attached, round) = await WithWriteUnderWayAsync(guest);
        await using var reader = CheckpointStore.Open(Options with { ReadOnly = true }, TimeProvider.System);
        var report = await reader.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal([new Uncommitted("a", 2)], report.Uncommitted);
        Assert.IsType<CheckpointOutcome.Committed>(await round);
        report = await reader.VerifyAsync();
        Assert.Equal((2L, 0, 0), (report.Checkpoints, report.Damages.Count, report.Uncommitted.Count));

        // Once the machine has stopped, an event that goes missing is missed.
        await TellAsync(attached.Machine, new MachineCommand.StopMachine());
        Assert.Null(await Extension.Engine.Store.Journal.LoadDocumentAheadAsync("a"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_registration_whose_writer_was_ended_before_the_journal_answered_is_a_registration(bool isKilled)
    {
        using var guest = Guest();
        FaultyJournal.Delay = s_delay;
        var attaching = AttachAsync(guest);
        await FaultyJournal.Delayed.WaitAsync(Patience);
        ChildOf(Extension.Actor, "~write-1").Tell(isKilled ? Kill.Instance : PoisonPill.Instance);
        var attached = await attaching;
        await TellAsync(attached.Machine, new MachineCommand.StartMachine());
        Assert.Equal(1, (await CommittedAsync(attached.Machine)).Number);
        await TellAsync(attached.Machine, new MachineCommand.StopMachine());
        await AssertNextOwnerFindsAsync(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_machine_whose_actor_was_ended_gives_its_lock_back_after_the_journals_answer(bool isKilled)
    {
        using var guest = Guest();
        var (attached, _) = await WithWriteUnderWayAsync(guest);
        attached.Machine.Tell(isKilled ? Kill.Instance : PoisonPill.Instance);
        await attached.Attached.DisposeAsync();
        Assert.True(FaultyJournal.Landed.IsCompleted, "the lock waits for the journal");
        await AssertNextOwnerFindsAsync(2);
    }

    private async Task<(MachineAttached Attached, Task<CheckpointOutcome> Round)> WithWriteUnderWayAsync(Checkpoint.Kvm.Guests.GuestMachine guest)
    {
        var attached = await AttachAsync(guest);
        await TellAsync(attached.Machine, new MachineCommand.StartMachine());
        await CommittedAsync(attached.Machine);
        FaultyJournal.Delay = s_delay;
        var round = TakeAsync(attached.Machine);
        await FaultyJournal.Delayed.WaitAsync(Patience);
        return (attached, round);
    }

    private async Task AssertNextOwnerFindsAsync(long highest)
    {
        await using var next = CheckpointEngine.Open(Options);
        using var other = Guest();
        await using var attached = await next.AttachAsync("a", new MachineAttachment(other.Machine, other) { Devices = [new GuestDevice(other)] });
        await FaultyJournal.Landed.WaitAsync(Patience); // What was to land late has landed.
        var report = await next.Store.VerifyAsync();
        Assert.Equal("", string.Join("; ", report.Damages));
        Assert.Equal(highest, report.Checkpoints);
        using var restored = await next.RestoreAsync(Kvm, new CheckpointReference.Numbered("a", highest));
        Assert.Equal(highest + 1, (await Bench.CommittedAsync(attached)).Number);
    }
}

/// <summary>As above, where the journal takes longer than anybody waits.</summary>
[Collection(GuestCollection.Name)]
public sealed class UnansweredWriteTests : FaultyStoreTests
{
    public UnansweredWriteTests()
        : base(FaultyJournal.Settings + "\ncheckpoint.journal-patience = 2s")
    {
        FaultyJournal.Reset();
    }

    [Fact]
    public async Task A_write_that_stays_unanswered_finds_its_place_taken_and_the_lock_is_given_back()
    {
        using var guest = Guest();
        await WithWriteUnansweredAsync(guest);
        Extension.Engine.Store.Lock("a").Dispose();
        await FaultyJournal.LetLand();
        await FaultyJournal.Landed;
        var report = await Extension.Engine.Store.VerifyAsync();
        Assert.Equal("", string.Join("; ", report.Damages));
        Assert.Equal(1, report.Checkpoints);
        using var other = Guest();
        Assert.Equal(2, (await CommittedAsync((await AttachAsync(other)).Machine)).Number);
    }

    [Fact]
    public async Task A_lock_is_kept_where_a_write_stays_unanswered_and_the_store_cannot_settle_it()
    {
        using var guest = Guest();
        await WithWriteUnansweredAsync(guest, append => append.Events.Count > 0 ? new AppendOutcome.Refused("the disk is gone") : null);
        // A lock that nobody refers to any more would be given back here.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var held = Assert.Throws<StoreException>(() => Extension.Engine.Store.Lock("a"));
        Assert.Equal(StoreFailure.Held, held.Failure);
        await FaultyJournal.LetLand();
        await FaultyJournal.Landed;
        var report = await Extension.Engine.Store.VerifyAsync();
        Assert.Equal("", string.Join("; ", report.Damages));
        Assert.Equal(2, report.Checkpoints);
    }

    private async Task WithWriteUnansweredAsync(Checkpoint.Kvm.Guests.GuestMachine guest, Func<JournalAppend, AppendOutcome?>? fault = null)
    {
        var attached = await AttachAsync(guest);
        await TellAsync(attached.Machine, new MachineCommand.StartMachine());
        await CommittedAsync(attached.Machine);
        FaultyJournal.Delay = Timeout.InfiniteTimeSpan;
        _ = TakeAsync(attached.Machine);
        await FaultyJournal.Delayed.WaitAsync(Patience);
        Store.OnAppend = fault ?? Store.OnAppend;
        attached.Machine.Tell(PoisonPill.Instance);
        await attached.Attached.DisposeAsync();
    }
}
