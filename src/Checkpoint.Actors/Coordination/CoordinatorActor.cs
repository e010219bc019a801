using System.Collections.Concurrent;
using System.Diagnostics;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The shell around <see cref="Coordinator"/>: it gives inputs their moment and carries effects out. Participants are told at
/// once, on whatever thread reported last; everything that touches a disk goes to another thread and comes back as an input.
/// </summary>
internal sealed class CoordinatorActor : IParticipantListener, ICoordinatorActor
{
    private readonly IMachineLock _held;
    private readonly CheckpointStore _store;
    private readonly TimeProvider _time;
    private readonly IEngineThreads _threads;
    private readonly Coordinator _coordinator;
    private readonly MachineHost _host;
    private readonly IParticipantListener _reports;
    private readonly CheckpointWriter _writer;
    private readonly Mailbox<Heard> _mailbox = new();
    private readonly ConcurrentQueue<Heard> _soon = new();
    private readonly List<CoordinatorEffect> _effects = new(capacity: 256);
    private readonly ConcurrentDictionary<long, TaskCompletionSource<CoordinatorReply>> _callers = new();
    private readonly DeadlineTimers _deadlines;
    private readonly StoreThread _disk;
    private readonly CoordinatorOptions _options;
    private readonly StoreWatch _watch;
    private AttachedMachine? _attached;
    private Exception? _bug;
    private CoordinatorEffect.SetDeadline? _grace;
    private long _graceBegun;
    private long _lastRequest;
    private long _lastSnapshot;

    public CoordinatorActor(
        IMachineLock held,
        CheckpointStore store,
        MachineHistory history,
        MachineAttachment attachment,
        TimeProvider time,
        IEngineThreads? threads = null,
        CoordinatorOptions? options = null)
    {
        _held = held;
        _threads = threads ?? EngineThreads.Own;
        _options = options ?? attachment.Options;
        _store = store;
        _time = time;
        _reports = _threads.ReportsTo(this);
        _host = new MachineHost(attachment, _reports, _threads, time);
        _coordinator = new Coordinator(history, _host.Participants, _options);
        _writer = new CheckpointWriter(held, store, _host, _options.Compress);
        _disk = new StoreThread(time, _threads);
        _deadlines = new DeadlineTimers(time, Post);
        _watch = new StoreWatch(_options.StoreDeadline, time, Notice);
    }

    /// <summary>Where the decisions stand.</summary>
    public RoundPhase Phase => _coordinator.Phase;

    RoundPhase? ICoordinatorActor.Phase => Phase;

    /// <summary>What the coordinator takes the stream to say; read by whoever drives this without threads.</summary>
    internal MachineHistory History => _coordinator.History;

    /// <summary>The machine's actors.</summary>
    public MachineHost Host => _host;

    /// <summary>Ends when the actor has handled its last message and nothing of the machine is being written or deleted any more.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    public TimeSpan StopPatience { get; } = TimeSpan.FromSeconds(5);

    public TimeSpan? StopDeadline => _options.StopDeadline;

    // It waits for each of its writes itself; one that is still at work hangs.
    public bool LeavesWriteBehind => !Completion.IsCompleted;

    public Task? LastWrite => Completion;

    public void Start(AttachedMachine attached)
    {
        _attached = attached;
        _disk.Start();
        Completion = RunAsync();
    }

    /// <summary>Takes no more messages.</summary>
    public void Dispose()
    {
        _mailbox.Close();
        _deadlines.Dispose();
        _watch.Dispose();
        _disk.Close();
    }

    /// <summary>Puts a request to the coordinator and waits for its answer.</summary>
    /// <param name="request">Makes the request from its number.</param>
    public Task<CoordinatorReply> AskAsync(Func<long, CoordinatorInput.Request> request)
    {
        var id = Interlocked.Increment(ref _lastRequest);
        var caller = new TaskCompletionSource<CoordinatorReply>(_threads.Completion);
        _callers[id] = caller;
        if (!_mailbox.Post(new Heard(request(id))) && _callers.TryRemove(id, out _))
            caller.SetResult(new CoordinatorReply.Refused(Volatile.Read(ref _bug) is { } bug ? new Refusal.CoordinatorEnded(bug.Message) : new Refusal.Stopping()));
        return caller.Task;
    }

    public void HearSoon(CoordinatorInput report) => _soon.Enqueue(new Heard(report, Now()));

    public void LookIn()
    {
        while (_soon.TryDequeue(out var heard))
            _mailbox.Post(heard);
        if (Volatile.Read(ref _grace) is { } grace
            && _time.GetElapsedTime(Volatile.Read(ref _graceBegun)) >= grace.After
            && Interlocked.CompareExchange(ref _grace, null, grace) == grace)
        {
            Post(new CoordinatorInput.DeadlineReached(grace.Round, grace.Phase));
        }
    }

    public void Hear(CoordinatorInput report)
    {
        Post(report);
        if (report is CoordinatorInput.ParticipantGone gone)
            _attached?.OnGone(gone);
    }

    private async Task RunAsync()
    {
        try
        {
            await _mailbox.RunAsync(Handle).ConfigureAwait(false);

            // A stop that did not wait for the round under way leaves who asked for it without an answer.
            AnswerAll(caller => caller.SetResult(new CoordinatorReply.Refused(new Refusal.Stopping())));

            // The machine's lock is given back after this; until then the disk thread works under it.
            await _disk.Ended.ConfigureAwait(false);
        }
        catch (Exception bug)
        {
            // A bug of ours must not keep the guest: everybody runs, nobody waits for an answer that will not come.
            Volatile.Write(ref _bug, bug);
            _attached?.OnCoordinatorLost($"the coordinator has ended: {bug.Message}");
            Dispose();
            foreach (var participant in _host.Participants.Where(each => each.Kind != ParticipantKind.Machine))
                _host.Tell(new CoordinatorEffect.ResumeParticipant(new RoundId(0), participant.Index));
            AnswerAll(caller => caller.SetException(bug));
            // What is being written now may still land: the lock is given back after it here, too.
            await _disk.Ended.ConfigureAwait(false);
            throw;
        }
    }

    private void AnswerAll(Action<TaskCompletionSource<CoordinatorReply>> answer)
    {
        foreach (var id in _callers.Keys)
        {
            if (_callers.TryRemove(id, out var caller))
                answer(caller);
        }
    }

    private void Post(CoordinatorInput input) => _mailbox.Post(new Heard(input));

    private Moment Now() => new((long)_time.GetElapsedTime(0).TotalMicroseconds, _time.GetUtcNow());

    private void Handle(Heard heard)
    {
        var input = heard.Input;
        var now = heard.At ?? Now();
        _effects.Clear();
        _coordinator.Handle(input, now, _effects);
        foreach (var effect in _effects)
            CarryOut(effect);
        if (input is CoordinatorInput.AppendEnded { Result: AppendResult.Committed })
            SaveSnapshotIfDue(_coordinator.History);
    }

    private void CarryOut(CoordinatorEffect effect)
    {
        switch (effect)
        {
            case CoordinatorEffect.ParticipantEffect message:
                _host.Tell(message);
                break;
            case CoordinatorEffect.SetDeadline { Phase: RoundPhase.ResumingVcpus } grace:
                // Nobody is woken for it: the machine's thread looks in.
                Volatile.Write(ref _graceBegun, _time.GetTimestamp());
                Volatile.Write(ref _grace, grace);
                break;
            case CoordinatorEffect.SetDeadline deadline:
                _deadlines.Set(deadline);
                break;
            case CoordinatorEffect.StoreParts parts:
                _disk.Post(() => Store(parts));
                break;
            case CoordinatorEffect.Append append:
                _disk.Post(() => Append(append));
                break;
            case CoordinatorEffect.DeleteSegments delete:
                _disk.Post(() => DeleteAll(delete));
                break;
            case CoordinatorEffect.DiscardParts discard:
                _disk.Post(() => _writer.Discard(discard.Round));
                break;
            case CoordinatorEffect.Recover recover:
                _threads.Run(() => RecoverAsync(recover.AppendId));
                break;
            case CoordinatorEffect.Reply reply:
                if (_callers.TryRemove(reply.RequestId, out var caller))
                    caller.SetResult(reply.Answer);
                break;
            default:
                throw new UnreachableException($"Unknown effect {effect.GetType().Name}.");
        }
    }

    private void Store(CoordinatorEffect.StoreParts parts)
    {
        using var watched = _watch.Begin("storing the checkpoint's parts");
        using var deadline = new CancellationTokenSource(_options.StoreDeadline, _time);
        try
        {
            _reports.Hear(new CoordinatorInput.PartsStored(parts.Round, _writer.Store(parts, deadline.Token)));
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested)
        {
            var reason = $"the checkpoint could not be stored: it took longer than {(long)_options.StoreDeadline.TotalMilliseconds} ms";
            _reports.Hear(new CoordinatorInput.PartsNotStored(parts.Round, reason));
        }
        catch (Exception failure)
        {
            // Whatever it was, the round must end and say so: the guest runs on.
            _reports.Hear(new CoordinatorInput.PartsNotStored(parts.Round, $"the checkpoint could not be stored: {failure.Message}", failure is StoreException { Failure: StoreFailure.Full }));
        }
    }

    private void Append(CoordinatorEffect.Append append)
    {
        AppendResult result;
        using var watched = _watch.Begin("the journal's write");
        try
        {
            NewStateDocument? document = null;
            if (append.StateOf is { } round)
            {
                var (number, bytes) = _writer.DocumentOf(round);
                document = new NewStateDocument(number, bytes);
            }

            // This thread has nothing else to do: it waits for the journal instead of coming back later on another one.
            var outcome = _store.Journal.AppendAsync(
                new JournalAppend(_held.Vm, append.Expected, append.Events, document, append.DeleteStateOf)).GetAwaiter().GetResult();
            result = outcome switch
            {
                AppendOutcome.Committed committed => new AppendResult.Committed(committed.Head),
                AppendOutcome.Conflict => new AppendResult.Conflict(),
                AppendOutcome.Refused refused => new AppendResult.Refused(refused.Reason, refused.HasNoRoom),
                AppendOutcome.Unknown unknown => Unknown(append, unknown.Reason),
                _ => throw new UnreachableException($"Unknown outcome {outcome.GetType().Name}."),
            };
        }
        catch (Exception failure)
        {
            result = Unknown(append, failure.Message);
        }

        _reports.Hear(new CoordinatorInput.AppendEnded(append.AppendId, result));
    }

    private AppendResult.Unknown Unknown(CoordinatorEffect.Append append, string reason)
    {
        Notice(new MachineNotice.AppendUnknown(reason));
        return new AppendResult.Unknown(reason, EventStream.HeadAfter(append.Expected, append.Events));
    }

    private void Notice(MachineNotice notice) => _attached?.Notice(notice);

    private void SaveSnapshotIfDue(MachineHistory history)
    {
        if (!EventStream.CanBeSnapshot(history) || !EventStream.IsSnapshotDue(history, _lastSnapshot))
            return;
        _lastSnapshot = history.Head.SequenceNumber;
        _threads.Run(() => EventStream.TrySaveSnapshotAsync(_store.Journal, _held.Vm, history));
    }

    private void DeleteAll(CoordinatorEffect.DeleteSegments delete)
    {
        foreach (var segment in delete.Segments)
            _writer.Delete(segment);
    }

    private async Task RecoverAsync(long appendId)
    {
        var begun = _time.GetTimestamp();
        var backoff = new Backoff(_threads);
        while (true)
        {
            var wait = backoff.Next();
            try
            {
                // What can be read back after a failed sync may lie in the host's memory only.
                await _store.Journal.ProveDurableAsync(_held.Vm, CancellationToken.None).ConfigureAwait(false);
                var history = await EventStream.RecoverAsync(_store.Journal, _held.Vm).ConfigureAwait(false);
                Notice(new MachineNotice.StoreBack(backoff.Attempts));
                Post(new CoordinatorInput.Recovered(appendId, history));
                return;
            }
            catch (StoreException away) when (_time.GetElapsedTime(begun) + wait < _options.RecoverDeadline)
            {
                // Nothing can be decided before the store is back.
                Notice(new MachineNotice.StoreAway(backoff.Attempts, wait, away.Message));
                await Task.Delay(wait, _time).ConfigureAwait(false);
            }
            catch (Exception failure)
            {
                Notice(new MachineNotice.StoreGivenUp(failure.Message));
                Post(new CoordinatorInput.RecoveryFailed(appendId, failure.Message));
                return;
            }
        }
    }

    /// <summary>An input, and when it came where it has lain since.</summary>
    private readonly record struct Heard(CoordinatorInput Input, Moment? At = null);
}
