using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>The faults are ordered of the journal class itself, so these run one after another.</summary>
[Collection(GuestCollection.Name)]
public sealed class JournalFailureTests : ActorSystemTests
{
    public JournalFailureTests()
        : base(FaultyJournal.Settings)
    {
        FaultyJournal.Reset();
    }

    [Fact]
    public async Task A_commit_whose_answer_was_lost_is_committed_once_the_stream_has_been_read_again()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        FaultyJournal.Next = JournalFault.WriteAndFail;
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        Assert.Equal(3, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(3);
    }

    [Fact]
    public async Task Each_doubt_has_the_whole_recovery_deadline_for_itself()
    {
        using var guest = Guest();
        var deadline = TimeSpan.FromSeconds(2);
        var machine = await RunningAsync(guest, Bench.Patient() with { RecoverDeadline = deadline });
        FaultyJournal.Next = JournalFault.WriteAndFail;
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await Task.Delay(deadline);
        FaultyJournal.Next = JournalFault.WriteAndFail;
        Assert.Equal(3, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(3);
    }

    [Fact]
    public async Task A_commit_that_was_lost_is_aborted_and_the_next_round_takes_its_number()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        FaultyJournal.Next = JournalFault.Lose;
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine));
        Assert.Equal("the journal lost the write: the disk is gone", aborted.Abort.Reason);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
    }

    [Fact]
    public async Task A_write_that_the_journal_rejects_leaves_no_gap_in_the_stream()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        FaultyJournal.Next = JournalFault.Reject;
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine));
        Assert.Equal("the journal lost the write: it does not fit", aborted.Abort.Reason);
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
    }

    [Theory]
    [InlineData("WriteAndFail", 2)]
    [InlineData("Lose", 1)]
    [InlineData("Reject", 1)]
    public async Task What_is_asked_while_the_stream_is_being_read_again_is_answered_afterwards(string fault, long highest)
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        FaultyJournal.Next = Enum.Parse<JournalFault>(fault);
        var round = TakeAsync(machine);
        var pins = Enumerable.Range(0, 20)
            .Select(i => TellAsync(machine, i % 2 == 0 ? new MachineCommand.PinCheckpoint(1) : new MachineCommand.UnpinCheckpoint(1)))
            .ToList();
        Assert.Equal(highest == 2, await round is CheckpointOutcome.Committed);
        Assert.All(await Task.WhenAll(pins), reply => Assert.IsType<MachineReply.Done>(reply));
        await AssertSoundAsync(highest);
    }

    [Fact]
    public async Task A_journal_that_stays_lost_fences_the_coordinator_and_the_guest_runs_on()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest, new CoordinatorOptions { RecoverDeadline = TimeSpan.FromMilliseconds(200) });
        FaultyJournal.Next = JournalFault.Lose;
        FaultyJournal.IsUnreadable = true;
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var refused = Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
            Assert.IsType<Refusal.JournalLost>(refused.Obstacle);
        }

        var steps = guest.Verify().Steps[0];
        await Eventually.IsTrueAsync(() => guest.Verify().Steps[0] > steps, "the guest runs on");
        await TellAsync(machine, new MachineCommand.StopMachine());
        FaultyJournal.IsUnreadable = false;

        // Opened again it goes on.
        using var other = Guest();
        Assert.Equal(2, (await CommittedAsync((await AttachAsync(other)).Machine)).Number);
    }

    [Theory]
    [InlineData("Lose")]
    [InlineData("WriteAndFail")]
    [InlineData("FailAndWriteLater")]
    public async Task A_registration_whose_end_nobody_knows_is_settled_and_the_machine_is_attached(string fault)
    {
        using var guest = Guest();
        FaultyJournal.Next = Enum.Parse<JournalFault>(fault);
        var machine = (await AttachAsync(guest)).Machine;
        await CommittedAsync(machine);
        await FaultyJournal.LetLand();
        await CommittedAsync(machine);
        await AssertSoundAsync(2);
    }

    [Fact]
    public async Task A_machine_whose_registration_is_rejected_is_not_attached_and_can_be_attached_again()
    {
        using var guest = Guest();
        FaultyJournal.Next = JournalFault.Reject;
        await Assert.ThrowsAsync<Storage.StoreException>(() => AttachAsync(guest));
        await CommittedAsync((await AttachAsync(guest)).Machine);
        await AssertSoundAsync(1);
    }

    [Fact]
    public async Task A_write_that_lands_after_the_journal_has_failed_it_finds_its_place_taken()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        FaultyJournal.Next = JournalFault.FailAndWriteLater;
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine));
        Assert.Equal("the journal lost the write: the breaker is open", aborted.Abort.Reason);
        Assert.NotNull(await FaultyJournal.LetLand());
        Assert.Equal(2, (await CommittedAsync(machine)).Number);
        await AssertSoundAsync(2);
    }

    private async Task<IActorRef> RunningAsync(GuestMachine guest, CoordinatorOptions? options = null)
    {
        var machine = (await AttachAsync(guest, options)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        Assert.Equal(1, (await CommittedAsync(machine)).Number);
        return machine;
    }

    private async Task AssertSoundAsync(long highest)
    {
        // What the lost write leaves behind goes after the answer.
        var store = Extension.Engine.Store;
        var live = (await store.RecoverAsync("a")).Live.Keys;
        await Eventually.IsTrueAsync(() => store.Journal.ListStateDocumentsAsync("a").Result.SequenceEqual(live), "superfluous documents go");
        var report = await store.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal(highest, report.Checkpoints);
    }
}
