using System.Collections.Concurrent;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Actors.Restoring;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors;

/// <summary>
/// The public door: opens a store, attaches machines to be checkpointed, and brings machines back from what is stored.
/// </summary>
public sealed class CheckpointEngine : IAsyncDisposable
{
    // So long the guest that is to run has the processors for itself.
    private static readonly TimeSpan s_headStart = TimeSpan.FromMilliseconds(10);

    private readonly TimeProvider _time;
    private readonly CheckpointFinder _finder;
    private readonly MachineRestorer _restorer;
    private readonly IEngineHost _host;
    private readonly ConcurrentDictionary<string, AttachedMachine> _attached = new();

    internal CheckpointEngine(CheckpointStore store, TimeProvider time, IEngineHost host)
    {
        Store = store;
        _host = host;
        _time = time;
        _finder = new CheckpointFinder(store);
        _restorer = new MachineRestorer(store, _finder, time, host.Threads);
    }

    /// <summary>The machines under the engine's care.</summary>
    internal ICollection<AttachedMachine> Attached => _attached.Values;

    /// <summary>What is stored.</summary>
    public CheckpointStore Store { get; }

    /// <summary>Opens a store.</summary>
    /// <param name="options">Which one.</param>
    /// <param name="time">The clock; the system's where none is given.</param>
    /// <param name="defaults">The deadline of restores, and what machines go by that are attached without options of their own.</param>
    /// <exception cref="StoreException">The store cannot be used; the message says why and what to do.</exception>
    public static CheckpointEngine Open(StoreOptions options, TimeProvider? time = null, CoordinatorOptions? defaults = null)
    {
        var clock = time ?? TimeProvider.System;
        var store = CheckpointStore.Open(options, clock);
        return new CheckpointEngine(store, clock, new BuiltInHost(store, clock, defaults: defaults));
    }

    /// <summary>
    /// Takes a machine under the engine's care. What an earlier process left half stored of it is swept first. The guest does
    /// not run before <see cref="AttachedMachine.Start"/>.
    /// </summary>
    /// <param name="vm">The machine's name.</param>
    /// <param name="attachment">The machine.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="StoreException">Another process holds the machine, its name belongs to a machine of another shape, or the store cannot be used.</exception>
    /// <exception cref="IntegrityException">The machine's stream is damaged.</exception>
    public async Task<AttachedMachine> AttachAsync(string vm, MachineAttachment attachment, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vm);
        ArgumentNullException.ThrowIfNull(attachment);
        var held = Store.Lock(vm);
        try
        {
            var history = (await Store.SweepAsync(held, cancellationToken).ConfigureAwait(false)).History;
            var restored = attachment.RestoredFrom;
            history = await RegisterAsync(held, history, attachment, cancellationToken).ConfigureAwait(false);
            if (restored is not null)
                history = await AppendAsync(held, history, restored.ToEvent(_time.GetUtcNow(), continues: true), cancellationToken).ConfigureAwait(false);
            else
                history = history with { Current = null }; // A machine that begins anew continues from no checkpoint.
            var attached = new AttachedMachine(
                await _host.CoordinateAsync(held, history, attachment, cancellationToken).ConfigureAwait(false),
                held,
                _time,
                _host.Threads,
                ended => _attached.TryRemove(new KeyValuePair<string, AttachedMachine>(ended.Vm, ended)));
            _attached[vm] = attached;
            attached.Begin();
            return attached;
        }
        catch
        {
            KeptLocks.GiveBack(held);
            throw;
        }
    }

    /// <summary>Finds a checkpoint.</summary>
    /// <returns>The machine's name and the event that committed it.</returns>
    /// <exception cref="StoreException">There is none, or several begin with those digits.</exception>
    public async Task<(string Vm, MachineEvent.CheckpointCommitted Checkpoint)> FindAsync(CheckpointReference reference, CancellationToken cancellationToken = default)
    {
        var found = await _finder.FindAsync(reference, cancellationToken).ConfigureAwait(false);
        return (found.Vm, found.Checkpoint);
    }

    /// <summary>
    /// Finds a checkpoint and reads its parts, once more where the checkpoint was pruned meanwhile by the process that runs its
    /// machine: that is no damage.
    /// </summary>
    /// <param name="reference">Which checkpoint.</param>
    /// <param name="read">Reads what is wanted of the checkpoint of a machine.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="StoreException">There is no such checkpoint.</exception>
    /// <exception cref="IntegrityException">A part is damaged.</exception>
    public Task<T> ReadAsync<T>(
        CheckpointReference reference,
        Func<string, MachineEvent.CheckpointCommitted, Task<T>> read,
        CancellationToken cancellationToken = default) => _finder.ReadAsync(reference, found => read(found.Vm, found.Checkpoint), cancellationToken);

    /// <summary>
    /// Builds a fresh machine that holds exactly what a checkpoint says. Nothing runs; where a single register is refused or
    /// reads back otherwise, the machine is thrown away.
    /// </summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="reference">The checkpoint.</param>
    /// <param name="clock">What the guest's clock does with the time since the checkpoint.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="RestoreRefusedException">This host can't take it; every refused register is listed.</exception>
    /// <exception cref="IntegrityException">A part is damaged.</exception>
    /// <exception cref="StoreException">There is no such checkpoint, or the store cannot be read.</exception>
    /// <exception cref="KvmException">This host cannot build the machine.</exception>
    public Task<RestoredMachine> RestoreAsync(
        IKvm kvm,
        CheckpointReference reference,
        ClockPolicy clock = ClockPolicy.Freeze,
        CancellationToken cancellationToken = default) =>
        RestoreAsync(kvm, reference, new RestoreOptions { Clock = clock }, cancellationToken);

    /// <summary>As above, where a policy says which registers may differ; those that did are <see cref="RestoredMachine.Leniences"/>.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="reference">The checkpoint.</param>
    /// <param name="policy">What is asked of each register.</param>
    /// <param name="clock">What the guest's clock does with the time since the checkpoint.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public Task<RestoredMachine> RestoreAsync(
        IKvm kvm,
        CheckpointReference reference,
        RegisterPolicy policy,
        ClockPolicy clock = ClockPolicy.Freeze,
        RegisterBatching? batching = null,
        CancellationToken cancellationToken = default) =>
        RestoreAsync(kvm, reference, new RestoreOptions { Policy = policy, Clock = clock, Batching = batching }, cancellationToken);

    /// <summary>As above, with everything that can be chosen.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="reference">The checkpoint.</param>
    /// <param name="options">How.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="LazyFillRefusedException">Memory was to come in lazily, and cannot here.</exception>
    public Task<RestoredMachine> RestoreAsync(
        IKvm kvm, CheckpointReference reference, RestoreOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(kvm);
        ArgumentNullException.ThrowIfNull(reference);
        ArgumentNullException.ThrowIfNull(options);
        var early = new EarlyVm(kvm, _host.Threads);
        return TimedRestore.RunAsync(
            token => _restorer.RestoreAsync(kvm, early, reference, options, token), _host.Defaults.RestoreDeadline, _time, _host.Threads, cancellationToken);
    }

    /// <summary>
    /// Runs a restored machine without taking checkpoints of it. The restore is recorded in its machine's stream, unless another
    /// process owns that, from 10 ms on or when it is stopped: the guest, which does not wait for the disk, has the processors for itself until then.
    /// <see cref="DetachedMachine.Recorded"/> tells what became of it.
    /// </summary>
    /// <returns>The running machine.</returns>
    public Task<DetachedMachine> RunAsync(RestoredMachine restored, MachineAttachment attachment, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(restored);
        ArgumentNullException.ThrowIfNull(attachment);
        var recorded = new TaskCompletionSource<bool>(_host.Threads.Completion);
        var detached = new DetachedMachine(attachment, recorded.Task, _time, _host.Threads);
        _host.Threads.Run(async () =>
        {
            try
            {
                await Task.WhenAny(Task.Delay(s_headStart, _time, CancellationToken.None), detached.Stopping).ConfigureAwait(false);
                recorded.SetResult(await TryRecordAsync(restored, cancellationToken).ConfigureAwait(false));
            }
            catch (Exception failure)
            {
                recorded.SetException(failure);
            }
        });
        return Task.FromResult(detached);
    }

    /// <summary>
    /// Closes the store. Where a call on it hangs nobody waits for longer than the <see cref="CoordinatorOptions.StopDeadline"/> of the engine's defaults:
    /// the store is closed when that call has ended, or the process.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync().ConfigureAwait(false);
        var closed = new TaskCompletionSource(_host.Threads.Completion);
        // Beside the caller: the database's last sync, which may hang, is a call that keeps its thread.
        _host.Threads.Run(async () =>
        {
            try
            {
                await Store.DisposeAsync().ConfigureAwait(false);
                closed.SetResult();
            }
            catch (Exception failure)
            {
                closed.SetException(failure);
            }
        });
        await closed.Task.WaitAsync(_host.Defaults.StopDeadline, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (closed.Task.IsCompleted)
            await closed.Task.ConfigureAwait(false);
    }

    private async Task<MachineHistory> RegisterAsync(IMachineLock held, MachineHistory history, MachineAttachment attachment, CancellationToken cancellationToken)
    {
        var description = attachment.Machine.Description;
        if (history.Registration is null)
        {
            var origin = attachment.RestoredFrom?.Checkpoint.Id;
            var registered = new MachineEvent.MachineRegistered(
                held.Vm, description.Architecture, description.Vcpus.Length, (long)description.MemoryBytes, origin)
            { At = _time.GetUtcNow() };
            return await AppendAsync(held, history, registered, cancellationToken).ConfigureAwait(false);
        }

        var known = history.Registration;
        if (known.Architecture != description.Architecture || known.Vcpus != description.Vcpus.Length || known.MemoryBytes != (long)description.MemoryBytes)
        {
            throw new StoreException(
                StoreFailure.Unusable,
                $"machine '{held.Vm}' is stored as {known.Architecture} with {known.Vcpus} vCPUs and {known.MemoryBytes} bytes of memory, "
                + $"this one has {description.Vcpus.Length} vCPUs and {description.MemoryBytes} bytes: use another name");
        }

        return history;
    }

    private async Task<MachineHistory> AppendAsync(IMachineLock held, MachineHistory history, MachineEvent @event, CancellationToken cancellationToken)
    {
        MachineHistory after;
        try
        {
            // Before it is written: an event that cannot follow would make the stream unreadable for good.
            after = history.Evolve(@event, new JournalHead(history.Head.SequenceNumber + 1, Digest.Zero));
        }
        catch (InvalidHistoryException invalid)
        {
            throw new StoreException(StoreFailure.Unusable, $"machine '{held.Vm}' cannot go on from there: {invalid.Message}", invalid);
        }

        var outcome = await _host.AppendAsync(held, history.Head, @event, cancellationToken).ConfigureAwait(false);
        return outcome is AppendOutcome.Committed committed
            ? after with { Head = committed.Head }
            : throw new StoreException(
                outcome is AppendOutcome.Refused { HasNoRoom: true } ? StoreFailure.Full : StoreFailure.Unusable,
                $"machine '{held.Vm}' could not be written to the journal: {outcome.Obstacle}");
    }

    private async Task<bool> TryRecordAsync(RestoredMachine restored, CancellationToken cancellationToken)
    {
        var now = restored.ToEvent(_time.GetUtcNow(), continues: false);
        if (_attached.TryGetValue(restored.Vm, out var attached))
            return await attached.TryRecordAsync(now).ConfigureAwait(false);
        try
        {
            using var held = Store.Lock(restored.Vm);
            var (history, snapshot) = await EventStream.RecoverFromSnapshotAsync(Store.Journal, restored.Vm, cancellationToken).ConfigureAwait(false);
            history = await AppendAsync(held, history, now, cancellationToken).ConfigureAwait(false);
            // Many restores of one checkpoint are as many events, which each of them reads.
            if (EventStream.IsSnapshotDue(history, snapshot))
                await EventStream.TrySaveSnapshotAsync(Store.Journal, restored.Vm, history).ConfigureAwait(false);
            return true;
        }
        catch (StoreException)
        {
            // The machine itself runs elsewhere and owns its stream, or the store can only be read: a copy may run all the same.
            return false;
        }
    }
}
