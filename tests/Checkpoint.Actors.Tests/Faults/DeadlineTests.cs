using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests.Faults;

/// <summary>What hangs or stays away ends by a deadline, is told of, and takes nobody with it.</summary>
[Collection(GuestCollection.Name)]
public sealed class DeadlineTests : IDisposable
{
    // A thread that a test holds goes on by itself after a minute.
    private static readonly TimeSpan s_beforeHangsEnd = TimeSpan.FromSeconds(40);

    private readonly FaultPlan _faults = new(seed: 1);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("checkpoint-test-");
    private readonly SimulatedKvm _kvm = new(new SimulatedKvmOptions());

    [Fact]
    public async Task A_restore_that_hangs_is_given_up_at_its_deadline_and_the_next_one_succeeds()
    {
        await using var engine = Open(new CoordinatorOptions { RestoreDeadline = TimeSpan.FromMilliseconds(100) });
        await MakeCheckpointAsync(engine);
        using var kvm = new FaultyKvm(_kvm, _faults);
        _faults.On("KVM_SET_REGS", vcpu: 1, call: 1).Hang();
        var late = await Assert.ThrowsAsync<TimeoutException>(() => engine.RestoreAsync(kvm, new CheckpointReference.Numbered(Bench.Vm, 1)));
        Assert.StartsWith("the restore did not end within 100 ms", late.Message, StringComparison.Ordinal);
        _faults.Disarm();

        await using var patient = Open(new CoordinatorOptions());
        using var restored = await patient.RestoreAsync(_kvm, new CheckpointReference.Numbered(Bench.Vm, 1));
        Assert.True(Bench.GuestOf(restored).Verify(restored.Document.Vcpus).Ok);
    }

    [Fact]
    public async Task A_store_that_comes_back_is_tried_again_and_again_and_told_of_and_the_checkpoint_is_committed()
    {
        await using var engine = Open(new CoordinatorOptions());
        using var guest = Guest();
        await using var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest));
        var notices = new List<MachineNotice>();
        machine.Noticed += (_, notice) => notices.Add(notice);
        machine.Start();
        _faults.On(FaultCalls.JournalAppend, call: 1).LoseConnectionAfterCommit();
        _faults.On(FaultCalls.JournalProve, call: 1).Times(3).Fail(Errno.EIO);
        await Bench.CommittedAsync(machine);
        Assert.IsType<MachineNotice.AppendUnknown>(notices[0]);
        Assert.Equal([1, 2, 3], notices.OfType<MachineNotice.StoreAway>().Select(away => away.Attempt));
        Assert.Equal(4, Assert.IsType<MachineNotice.StoreBack>(notices[^1]).Attempts);
        // Twice as long each time, and of that between one half and all.
        Assert.All(notices.OfType<MachineNotice.StoreAway>(), away => Assert.InRange(away.Wait.TotalMilliseconds, 25 << (away.Attempt - 1), 50 << (away.Attempt - 1)));
    }

    [Fact]
    public async Task What_the_journal_lost_is_aborted_and_what_it_has_is_committed()
    {
        await using var engine = Open(new CoordinatorOptions());
        using var guest = Guest();
        await using var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest));
        machine.Start();
        _faults.On(FaultCalls.JournalAppend, call: 1).LoseConnectionBeforeCommit();
        Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal(1, (await Bench.CommittedAsync(machine)).Number);
        _faults.On(FaultCalls.JournalAppend, call: 1).LoseConnectionAfterCommit();
        Assert.Equal(2, (await Bench.CommittedAsync(machine)).Number);
        Assert.Equal([1, 2], (await engine.Store.RecoverAsync(Bench.Vm)).Live.Keys);
    }

    [Fact]
    public async Task A_segment_that_takes_longer_than_it_may_is_told_of_and_aborts_its_round()
    {
        await using var engine = Open(new CoordinatorOptions { StoreDeadline = TimeSpan.FromMilliseconds(50) });
        using var guest = Guest();
        await using var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest));
        var silent = new TaskCompletionSource<MachineNotice>(TaskCreationOptions.RunContinuationsAsynchronously);
        machine.Noticed += (_, notice) => silent.TrySetResult(notice);
        machine.Start();
        // The first write of the file hangs until it has been told of; what follows it finds the deadline over.
        _faults.On(FaultCalls.FileWrite, call: 1).Hang();
        var round = machine.CheckpointAsync();
        Assert.IsType<MachineNotice.StoreSilent>(await silent.Task.WaitAsync(TimeSpan.FromSeconds(60)));
        _faults.Disarm();
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await round);
        Assert.Contains("took longer than 50 ms", aborted.Abort.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_store_that_hangs_keeps_nobody_who_stops_the_machine_and_its_lock_until_it_goes_on()
    {
        await using var engine = Open(new CoordinatorOptions { StopDeadline = TimeSpan.FromMilliseconds(50) });
        using var guest = Guest();
        var hanging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest)))
        {
            machine.Start();
            _faults.Injected += _ => hanging.TrySetResult();
            _faults.On(FaultCalls.JournalAppend).Hang();
            _ = machine.CheckpointAsync();
            await hanging.Task;
            await machine.StopAsync().WaitAsync(TimeSpan.FromSeconds(60));
        }

        // What hangs may still be written: nobody else may sweep its parts away.
        var held = Assert.Throws<StoreException>(() => engine.Store.Lock(Bench.Vm));
        Assert.Equal(StoreFailure.Held, held.Failure);

        // What hung is written, and then the machine can be taken again in this process.
        _faults.Disarm();
        using var second = Guest();
        await using var again = await UntilAttachedAsync(engine, second);
        Assert.Equal(2, (await Bench.CommittedAsync(again)).Number);
    }

    [Fact]
    public async Task A_journal_that_hangs_in_a_transaction_keeps_nobody_who_disposes_of_the_engine_and_is_closed_when_it_goes_on()
    {
        using var hang = new Hang();
        var clock = new HangingClock(hang);
        // The journal asks for the time inside of its transaction.
        var store = CheckpointStore.Open(StoreOptions, clock);
        var engine = Over(store);
        using var guest = Guest();
        await using (var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest)))
        {
            machine.Start();
            clock.IsHanging = true;
            _ = machine.CheckpointAsync();
            await hang.Begun;
            await machine.StopAsync().WaitAsync(s_beforeHangsEnd);
        }

        await engine.DisposeAsync().AsTask().WaitAsync(s_beforeHangsEnd);
        hang.End();
        await Eventually.IsTrueAsync(
            () => Record.ExceptionAsync(() => store.ListMachinesAsync()).GetAwaiter().GetResult() is ObjectDisposedException, "the store is closed");
    }

    [Fact]
    public async Task A_store_whose_closing_keeps_its_thread_keeps_nobody_who_disposes_of_the_engine()
    {
        using var hang = new Hang();
        var engine = Over(CheckpointStore.Open(StoreOptions, TimeProvider.System).Around(journal => new HangsWhenClosed(journal, hang)));
        await Task.Run(async () => await engine.DisposeAsync()).WaitAsync(s_beforeHangsEnd);
        Assert.True(hang.Begun.IsCompleted);
    }

    [Fact]
    public async Task Whoever_disposes_of_the_engine_hears_that_its_store_could_not_be_closed()
    {
        var engine = Over(CheckpointStore.Open(StoreOptions, TimeProvider.System).Around(journal => new HangsWhenClosed(journal, null)));
        await Assert.ThrowsAsync<IOException>(async () => await engine.DisposeAsync());
    }

    [Fact]
    public async Task A_vcpu_whose_kick_does_not_go_out_aborts_the_round_by_name_and_the_next_one_works()
    {
        await using var engine = Open(new CoordinatorOptions());
        using var kvm = new FaultyKvm(_kvm, _faults);
        using var guest = Guest(kvm);
        await using var machine = await UntilVcpu1RunsAsync(engine, guest);
        _faults.On(FaultCalls.Kick, vcpu: 1, call: 1).Fail(Errno.EAGAIN);
        var aborted = Assert.IsType<CheckpointOutcome.Aborted>(await machine.CheckpointAsync());
        Assert.Equal(("vcpu 1", Errno.EAGAIN), (aborted.Abort.Participant, aborted.Abort.Errno));
        await Bench.CommittedAsync(machine);
    }

    [Fact]
    public async Task A_vcpu_whose_kick_does_not_go_out_is_suspended_at_its_next_exit_and_runs_on_when_it_is_told_to()
    {
        await using var engine = Open(new CoordinatorOptions());
        using var kvm = new FaultyKvm(_kvm, _faults);
        using var guest = Guest(kvm);
        await using var machine = await UntilVcpu1RunsAsync(engine, guest);
        var failing = _faults.On(FaultCalls.Kick, vcpu: 1).Fail(Errno.EAGAIN);
        var vcpu = machine.Coordinator.Host.Actors.OfType<VcpuActor>().ElementAt(1);
        Assert.True(await vcpu.SuspendAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(1, failing.Hits);
        vcpu.Run();
        _faults.Disarm();
        await Bench.CommittedAsync(machine);
    }

    public void Dispose()
    {
        _faults.Disarm();
        _kvm.Dispose();
        _folder.Delete(recursive: true);
    }

    // A vCPU that does not run yet is not kicked.
    private async Task<AttachedMachine> UntilVcpu1RunsAsync(CheckpointEngine engine, GuestMachine guest)
    {
        var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest));
        var runs = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _faults.Injected += _ => runs.TrySetResult();
        _faults.On("KVM_RUN", vcpu: 1, call: 1).Delay(TimeSpan.FromTicks(1));
        machine.Start();
        await runs.Task;
        return machine;
    }

    private StoreOptions StoreOptions => new("sqlite:" + Path.Combine(_folder.FullName, "store.db")) { Faults = _faults };

    private CheckpointEngine Open(CoordinatorOptions defaults) => CheckpointEngine.Open(StoreOptions, null, Patiently(defaults));

    private static CheckpointEngine Over(CheckpointStore store)
    {
        var host = new BuiltInHost(store, TimeProvider.System, defaults: Patiently(new CoordinatorOptions { StopDeadline = TimeSpan.FromMilliseconds(50) }));
        return new CheckpointEngine(store, TimeProvider.System, host);
    }

    // Only what a test is about is short.
    private static CoordinatorOptions Patiently(CoordinatorOptions options) => options with
    {
        ParkDeadline = TimeSpan.FromSeconds(20),
        CaptureDeadline = TimeSpan.FromSeconds(20),
        ResumeDeadline = TimeSpan.FromSeconds(20),
    };

    private GuestMachine Guest(IKvm? kvm = null) =>
        GuestMachine.Create(kvm ?? _kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 2, Seed = 3, MemoryBytes = 2 << 20, ExitEverySteps = 1 << 10 });

    private static MachineAttachment Attachment(GuestMachine guest) => new(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };

    private async Task<AttachedMachine> UntilAttachedAsync(CheckpointEngine engine, GuestMachine guest)
    {
        var begun = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                return await engine.AttachAsync(Bench.Vm, Attachment(guest));
            }
            catch (StoreException held) when (held.Failure == StoreFailure.Held && TimeProvider.System.GetElapsedTime(begun) < TimeSpan.FromSeconds(60))
            {
                await Task.Delay(1);
            }
        }
    }

    private async Task MakeCheckpointAsync(CheckpointEngine engine)
    {
        using var guest = Guest();
        await using var machine = await engine.AttachAsync(Bench.Vm, Attachment(guest));
        await Bench.CommittedAsync(machine);
    }

    /// <summary>A clock that holds whoever asks for the time.</summary>
    private sealed class HangingClock(Hang hang) : TimeProvider
    {
        public volatile bool IsHanging;

        public override DateTimeOffset GetUtcNow()
        {
            if (IsHanging)
                hang.Enter();
            return base.GetUtcNow();
        }
    }

    /// <summary>A journal that holds the thread that closes it; without something to hold it by it cannot be closed.</summary>
    private sealed class HangsWhenClosed(IJournal journal, Hang? hang) : IJournal
    {
        public Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default) => journal.AppendAsync(append, cancellationToken);

        public Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default) => journal.ProveDurableAsync(vm, cancellationToken);

        public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default) => journal.ListMachinesAsync(cancellationToken);

        public Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default) =>
            journal.ReadAsync(vm, after, limit, cancellationToken);

        public Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default) =>
            journal.ReadStateDocumentAsync(vm, number, cancellationToken);

        public Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default) =>
            journal.ListStateDocumentsAsync(vm, cancellationToken);

        public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default) =>
            journal.SaveSnapshotAsync(vm, snapshot, cancellationToken);

        public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default) => journal.LoadSnapshotAsync(vm, cancellationToken);

        public async ValueTask DisposeAsync()
        {
            hang?.Enter();
            await journal.DisposeAsync();
            if (hang is null)
                throw new IOException("it cannot be closed");
        }
    }
}
