using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors;

/// <summary>
/// A machine under the engine's care: it runs, and checkpoints of it are taken on request and by schedule. It holds the
/// machine's lock until it is disposed of.
/// </summary>
public sealed class AttachedMachine : IAsyncDisposable
{
    private readonly ICoordinatorActor _coordinator;
    private readonly IMachineLock _held;
    private readonly TimeProvider _time;
    private readonly IEngineThreads _threads;
    private readonly TaskCompletionSource<string?> _ended;
    private readonly Action<AttachedMachine> _onDisposed;
    private readonly object _gate = new();
    private CheckpointSchedule? _schedule;
    private TaskCompletionSource? _stopping;
    private TaskCompletionSource? _disposal;
    private bool _isStopRequested;

    internal AttachedMachine(ICoordinatorActor coordinator, IMachineLock held, TimeProvider time, IEngineThreads threads, Action<AttachedMachine> onDisposed)
    {
        _threads = threads;
        _ended = new TaskCompletionSource<string?>(threads.Completion);
        _coordinator = coordinator;
        _held = held;
        _time = time;
        _onDisposed = onDisposed;
    }

    /// <summary>Its coordinator, for the host that made it.</summary>
    internal ICoordinatorActor Coordinator => _coordinator;

    /// <summary>The machine's name.</summary>
    public string Vm => _held.Vm;

    /// <summary>
    /// Ends, with the reason, when a vCPU has ended by itself or the schedule has: from then on no checkpoint is taken by itself.
    /// Ends with null when the machine has been stopped and all of it has: its guest is whole.
    /// </summary>
    public Task<string?> ParticipantEnded => _ended.Task;

    /// <summary>
    /// Who had not ended when <see cref="StopAsync"/> gave up waiting: a vCPU that hangs in its exit handler, a device that hangs. Its thread
    /// goes on with it; a vCPU's registers cannot be read meanwhile. Empty where all have stopped.
    /// </summary>
    public ImmutableArray<string> LeftBehind { get; private set; } = [];

    /// <summary>Whether somebody has asked it to stop: what ends then has not failed.</summary>
    internal bool IsStopRequested
    {
        get
        {
            lock (_gate)
                return _isStopRequested;
        }
    }

    /// <summary>
    /// Raised when a round has ended, whoever asked for it, before the next round of a schedule begins. Handlers run on a
    /// thread of the engine's that no guest waits for; what they throw is dropped.
    /// </summary>
    public event EventHandler<CheckpointOutcome>? RoundEnded;

    /// <summary>
    /// Raised when something happens to the machine's store that its operator may want to know at once. Handlers run on threads
    /// of the engine's that no guest waits for; what they throw is dropped.
    /// </summary>
    public event EventHandler<MachineNotice>? Noticed;

    /// <summary>Where a round stands just now; null where the host cannot tell from outside.</summary>
    public RoundPhase? Phase => _coordinator.Phase;

    /// <summary>
    /// Drives one vCPU on the calling thread; returns when the vCPU has ended. For attachments with
    /// <see cref="MachineAttachment.EmbedderDrivesVcpus"/>; one thread for each vCPU, each called once.
    /// </summary>
    /// <param name="vcpu">The vCPU's index.</param>
    public void DriveVcpu(int vcpu) => _coordinator.Host.DriveVcpu(vcpu);

    /// <summary>Lets the guest run.</summary>
    public void Start() => _coordinator.Host.RunGuest();

    /// <summary>Takes a checkpoint now.</summary>
    /// <param name="label">The caller's own words, stored with it.</param>
    /// <returns>How it ended; a task that ends with Committed means that the checkpoint is durable.</returns>
    public Task<CheckpointOutcome> CheckpointAsync(string? label = null) => CheckpointAsync(CheckpointTrigger.Request, label);

    /// <summary>Takes a checkpoint every so often, until <see cref="StopAsync"/>. A turn that falls into a round under way is skipped.</summary>
    /// <param name="interval">From the beginning of one to the beginning of the next: from 1 ms to 366 days.</param>
    /// <exception cref="OptionOutOfRangeException">The interval is another one.</exception>
    /// <exception cref="InvalidOperationException">The machine has a schedule, or has been stopped.</exception>
    public void CheckpointEvery(TimeSpan interval)
    {
        OptionLimits.Interval(interval, nameof(interval));
        lock (_gate)
        {
            if (_stopping is not null)
                throw new InvalidOperationException($"Machine '{Vm}' has been stopped.");
            if (_schedule is not null)
                throw new InvalidOperationException($"Machine '{Vm}' has a schedule already.");
            _schedule = new CheckpointSchedule(interval, _time, _threads, TakeScheduledAsync);
        }
    }

    /// <summary>Keeps a checkpoint whatever retention says.</summary>
    /// <returns>Null, or why not.</returns>
    public async Task<Refusal?> PinAsync(long number) =>
        RefusalOf(await _coordinator.AskAsync(id => new CoordinatorInput.Pin(id, number)).ConfigureAwait(false));

    /// <summary>Lets retention take a checkpoint again.</summary>
    /// <returns>Null, or why not.</returns>
    public async Task<Refusal?> UnpinAsync(long number) =>
        RefusalOf(await _coordinator.AskAsync(id => new CoordinatorInput.Unpin(id, number)).ConfigureAwait(false));

    /// <summary>Puts on record that a copy of this machine was brought back; the machine runs on.</summary>
    internal async Task<bool> TryRecordAsync(MachineEvent.MachineRestored restored) =>
        await _coordinator.AskAsync(id => new CoordinatorInput.RecordRestore(id, restored)).ConfigureAwait(false) is CoordinatorReply.Done;

    /// <summary>
    /// Ends the schedule, lets the round under way end, then stops the vCPUs with no IO pending. The machine's registers and
    /// memory can be read afterwards, unless a vCPU is among those <see cref="LeftBehind"/>; it does not run again.
    /// </summary>
    public Task StopAsync()
    {
        lock (_gate)
            _isStopRequested = true;
        return BeOnce(ref _stopping, StopOnceAsync);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        lock (_gate)
            _isStopRequested = true;
        return new ValueTask(EndAsync());
    }

    /// <summary>Lets its threads and its coordinator begin; the guest does not run yet.</summary>
    internal void Begin()
    {
        _coordinator.Start(this);
        _coordinator.Host.Start();
    }

    /// <summary>Gives everything back although nobody may have asked for it: the host that ran it has given it up.</summary>
    internal Task EndAsync() => BeOnce(ref _disposal, EndOnceAsync);

    private async Task EndOnceAsync()
    {
        try
        {
            await BeOnce(ref _stopping, StopOnceAsync).ConfigureAwait(false);
        }
        finally
        {
            if (_coordinator.LeavesWriteBehind)
                KeptLocks.Keep(_held, _coordinator.LastWrite);
            else
                KeptLocks.GiveBack(_held);
            _onDisposed(this);
        }
    }

    // Whoever asks first does it; all who ask wait for the same end.
    private Task BeOnce(ref TaskCompletionSource? once, Func<Task> act)
    {
        TaskCompletionSource ended;
        lock (_gate)
        {
            if (once is not null)
                return once.Task;
            once = ended = new TaskCompletionSource(_threads.Completion);
        }

        _ = CompleteAsync(act, ended);
        return ended.Task;
    }

    private static async Task CompleteAsync(Func<Task> act, TaskCompletionSource ended)
    {
        try
        {
            await act().ConfigureAwait(false);
            ended.SetResult();
        }
        catch (Exception failure)
        {
            ended.SetException(failure);
        }
    }

    private async Task StopOnceAsync()
    {
        var begun = _time.GetTimestamp();
        try
        {
            if (_schedule is not null)
                await WaitAsync(_schedule.DisposeAsync().AsTask(), begun).ConfigureAwait(false);
        }
        finally
        {
            try
            {
                await WaitAsync(_coordinator.AskAsync(id => new CoordinatorInput.Stop(id)), begun).ConfigureAwait(false);
            }
            finally
            {
                // Also where the coordinator was lost meanwhile: the lock is given back after all that it had under way.
                LeftBehind = await _coordinator.Host.StopAsync(_coordinator.StopPatience, _time).ConfigureAwait(false);
                _ended.TrySetResult(LeftBehind is [var first, ..] ? $"{first} has not stopped within {(long)_coordinator.StopPatience.TotalMilliseconds} ms" : null);
                _coordinator.Dispose();
                await WaitAsync(_coordinator.Completion, _time.GetTimestamp()).ConfigureAwait(false);
            }
        }
    }

    // A store that hangs must not keep whoever stops the machine; the lock is not given back then. The schedule's end and the
    // coordinator's answer wait for the same round: for both together there is one deadline.
    private async Task WaitAsync(Task ending, long begun)
    {
        if (_coordinator.StopDeadline is { } deadline && !ending.IsCompleted)
        {
            var rest = deadline - _time.GetElapsedTime(begun);
            using var over = new CancellationTokenSource();
            if (rest <= TimeSpan.Zero || await Task.WhenAny(ending, Task.Delay(rest, _time, over.Token)).ConfigureAwait(false) != ending)
                return;
            over.Cancel();
        }

        await ending.ConfigureAwait(false);
    }

    private async Task TakeScheduledAsync()
    {
        try
        {
            await CheckpointAsync(CheckpointTrigger.Schedule, null).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            // A schedule that ended without a word would leave a machine unprotected that everybody believes protected.
            _ended.TrySetResult($"the schedule has ended: {failure.Message}");
        }
    }

    private async Task<CheckpointOutcome> CheckpointAsync(CheckpointTrigger trigger, string? label)
    {
        Span<byte> random = stackalloc byte[16];
        _threads.FillRandom(random);
        var checkpoint = new CheckpointId(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(random));
        var begun = _time.GetTimestamp();
        var reply = await _coordinator.AskAsync(id => new CoordinatorInput.BeginCheckpoint(id, checkpoint, trigger, label)).ConfigureAwait(false);
        CheckpointOutcome outcome = reply switch
        {
            CoordinatorReply.Committed committed => new CheckpointOutcome.Committed(committed.Checkpoint, committed.Pruned, _time.GetElapsedTime(begun)),
            CoordinatorReply.Aborted aborted => new CheckpointOutcome.Aborted(aborted.Abort) { Pruned = aborted.Pruned },
            CoordinatorReply.Refused refused => new CheckpointOutcome.Refused(refused.Obstacle),
            _ => throw new UnreachableException($"A checkpoint was answered by {reply.GetType().Name}."),
        };
        Announce(outcome);
        return outcome;
    }

    /// <summary>Tells whoever listens.</summary>
    internal void Notice(MachineNotice notice) => Raise(Noticed, notice);

    private void Announce(CheckpointOutcome outcome) => Raise(RoundEnded, outcome);

    private void Raise<T>(EventHandler<T>? listeners, T what)
    {
        foreach (var handler in listeners?.GetInvocationList() ?? [])
        {
            try
            {
                ((EventHandler<T>)handler)(this, what);
            }
            catch (Exception)
            {
                // The checkpoint is what it is whatever a listener thinks of it: neither the schedule nor the caller suffers.
            }
        }
    }

    private static Refusal? RefusalOf(CoordinatorReply reply) => (reply as CoordinatorReply.Refused)?.Obstacle;

    /// <summary>The coordinator has ended: no checkpoint is taken any more.</summary>
    internal void OnCoordinatorLost(string reason) => _ended.TrySetResult(reason);

    /// <summary>A participant has ended for good.</summary>
    internal void OnGone(CoordinatorInput.ParticipantGone gone)
    {
        // With the machine all of it stops; a vCPU that was stopped alone is missing.
        if (!gone.WasAskedTo || !IsStopRequested)
            _ended.TrySetResult($"{_coordinator.Host.Participants[gone.Participant].Name} {gone.Failure.Reason}");
    }
}
