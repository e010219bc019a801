using System.Globalization;
using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>A store that hangs or stays away is told of, and takes nobody with it: as in the built-in host.</summary>
[Collection(GuestCollection.Name)]
public sealed class StoreDeadlineTests : FaultyStoreTests
{
    private const string StopDeadline = "100ms";

    public StoreDeadlineTests()
        : base($"{FaultyJournal.Settings}\ncheckpoint.coordinator.stop-deadline = {StopDeadline}")
    {
        FaultyJournal.Reset();
        Sys.EventStream.Subscribe(TestActor, typeof(MachineNoticed));
    }

    [Fact]
    public async Task A_store_that_comes_back_is_tried_again_and_again_and_told_of_in_order_and_the_checkpoint_is_committed()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest);
        var left = 3;
        Store.OnProof = () => left-- > 0 ? throw new StoreException(StoreFailure.Unusable, "the disk is away") : Task.CompletedTask;
        FaultyJournal.Next = JournalFault.WriteAndFail;
        await CommittedAsync(machine);
        Assert.Equal("the answer is lost", (await NoticedAsync<MachineNotice.AppendUnknown>()).Reason);
        for (var attempt = 1; attempt <= 3; attempt++)
        {
            var away = await NoticedAsync<MachineNotice.StoreAway>();
            Assert.Equal((attempt, "the disk is away"), (away.Attempt, away.Reason));
            // Twice as long each time, and of that between one half and all.
            Assert.InRange(away.Wait.TotalMilliseconds, 25 << (attempt - 1), 50 << (attempt - 1));
        }

        Assert.Equal(4, (await NoticedAsync<MachineNotice.StoreBack>()).Attempts);
    }

    [Fact]
    public async Task A_store_that_does_not_come_back_is_told_of_when_it_is_given_up()
    {
        using var guest = Guest();
        // Long enough for one proof to have failed by then, also where a processor is waited for.
        var machine = await RunningAsync(guest, Bench.Patient() with { RecoverDeadline = TimeSpan.FromSeconds(3) });
        Store.OnProof = () => throw new StoreException(StoreFailure.Unusable, "the disk is away");
        FaultyJournal.Next = JournalFault.Lose;
        Assert.IsType<CheckpointOutcome.Refused>(await TakeAsync(machine));
        await NoticedAsync<MachineNotice.AppendUnknown>();
        MachineNotice notice;
        do
        {
            notice = await NoticedAsync<MachineNotice>();
        }
        while (notice is MachineNotice.StoreAway);
        Assert.Equal(new MachineNotice.StoreGivenUp("the disk is away"), notice);
        Store.OnProof = () => Task.CompletedTask;
    }

    [Fact]
    public async Task A_segment_that_takes_longer_than_it_may_is_told_of_and_aborts_its_round()
    {
        using var guest = Guest();
        var machine = await RunningAsync(guest, Bench.Patient() with { StoreDeadline = TimeSpan.FromMilliseconds(50) });
        // The first write of the file hangs until it has been told of; what follows it finds the deadline over.
        Faults.On(FaultCalls.FileWrite, call: 1).Hang();
        var round = TakeAsync(machine);
        Assert.Equal("storing the checkpoint's parts", (await NoticedAsync<MachineNotice.StoreSilent>()).What);
        Faults.Disarm();
        Assert.Equal("the checkpoint could not be stored: it took longer than 50 ms", Assert.IsType<CheckpointOutcome.Aborted>(await round).Abort.Reason);
    }

    [Fact]
    public async Task A_store_that_hangs_keeps_nobody_who_stops_the_machine_and_its_lock_is_not_given_back()
    {
        using var guest = Guest();
        var hanging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Faults.Injected += _ => hanging.TrySetResult();
        var attached = await AttachAsync(guest, Bench.Patient() with { StopDeadline = Milliseconds(StopDeadline) });
        var machine = attached.Machine;
        Faults.On(FaultCalls.FileSync).Hang();
        var round = TakeAsync(machine);
        await hanging.Task.WaitAsync(Patience);
        Assert.IsType<MachineReply.Done>(await TellAsync(machine, new MachineCommand.StopMachine()));
        Assert.Equal(new CheckpointOutcome.Refused(new Refusal.Stopping()), await round);
        // What hangs may still be written: nobody else may sweep its parts away.
        Assert.Equal(StoreFailure.Held, Assert.Throws<StoreException>(() => Extension.Engine.Store.Lock("a")).Failure);
        Faults.Disarm();
        await attached.Attached.Coordinator.Completion.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_store_that_does_not_close_keeps_nobody_who_shuts_the_actor_system_down()
    {
        using var guest = Guest();
        await RunningAsync(guest);
        var hang = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Store.OnDispose = hang.Task;
        await CoordinatedShutdown.Get(Sys).Run(CoordinatedShutdown.ClrExitReason.Instance).WaitAsync(Patience);
        hang.SetResult();
    }

    private static TimeSpan Milliseconds(string setting) =>
        TimeSpan.FromMilliseconds(int.Parse(setting.AsSpan()[..^2], CultureInfo.InvariantCulture));

    private async Task<T> NoticedAsync<T>()
        where T : MachineNotice => Assert.IsAssignableFrom<T>((await ExpectMsgAsync<MachineNoticed>(Patience)).Notice);

    private async Task<IActorRef> RunningAsync(Checkpoint.Kvm.Guests.GuestMachine guest, CoordinatorOptions? options = null)
    {
        var machine = (await AttachAsync(guest, options)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        return machine;
    }
}

/// <summary>As above, by a clock of the test's own.</summary>
[Collection(GuestCollection.Name)]
public sealed class SilentJournalTests : FaultyStoreTests
{
    private readonly ManualTime _time;

    public SilentJournalTests()
        : this(new ManualTime())
    {
    }

    private SilentJournalTests(ManualTime time)
        : base(FaultyJournal.Settings, time)
    {
        _time = time;
        FaultyJournal.Reset();
        Sys.EventStream.Subscribe(TestActor, typeof(MachineNoticed));
    }

    [Fact]
    public async Task A_journal_that_does_not_answer_in_time_is_told_of_and_the_round_goes_on_when_it_does()
    {
        using var guest = Guest();
        var options = Bench.Patient() with { StoreDeadline = TimeSpan.FromMinutes(1) };
        var machine = (await AttachAsync(guest, options)).Machine;
        FaultyJournal.Delay = TimeSpan.FromSeconds(1);
        var round = TakeAsync(machine);
        await FaultyJournal.Delayed.WaitAsync(Patience);
        _time.Advance(options.StoreDeadline);
        var told = await ExpectMsgAsync<MachineNoticed>(Patience);
        Assert.Equal(("a", new MachineNotice.StoreSilent("the journal's write", options.StoreDeadline)), (told.Vm, told.Notice));
        Assert.IsType<CheckpointOutcome.Committed>(await round);

        // Once it has answered nothing is watched any more.
        _time.Advance(options.StoreDeadline);
        await ExpectNoMsgAsync(TimeSpan.FromMilliseconds(100));
    }
}
