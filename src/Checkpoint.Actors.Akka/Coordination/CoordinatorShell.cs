using System.Collections.Concurrent;
using System.Diagnostics;
using Akka.Actor;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>
/// What of a coordinator outlives one life of its actor. Akka.Persistence ends an actor whose write failed, because the actor
/// cannot know whether it was written; the decisions, the guest's threads and the callers must not end with it. The next life
/// reads the stream again and goes on.
/// </summary>
internal sealed class CoordinatorShell : IParticipantListener, ICoordinatorActor
{
    private readonly TimeProvider _time;
    private readonly JournalFence _fence;
    private readonly Lock _gate = new();
    private readonly List<CoordinatorEffect> _effects = new(capacity: 256);
    private readonly PendingRequests _requests = new();
    private readonly ConcurrentQueue<CoordinatorInput.ParticipantGone> _gone = [];
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IActorRef _actor = ActorRefs.Nobody;
    private volatile IActorRef _guardian = ActorRefs.Nobody;
    private volatile Exception? _bug;
    private volatile bool _isClosed;
    private volatile AppendInFlight? _inFlight;
    private StoreWatch.Watched? _journalAtWork;
    private volatile AppendSettlement? _unsettled;
    private bool _hasGuardianEnded;
    private AttachedMachine? _attached;
    private Task? _closing;

    public CoordinatorShell(IMachineLock held, CheckpointStore store, MachineHistory history, MachineAttachment attachment, CheckpointSettings settings, JournalFence fence, TimeProvider time)
    {
        Held = held;
        Store = store;
        Settings = settings;
        Attachment = attachment;
        _time = time;
        _fence = fence;
        Options = attachment.GivenOptions ?? settings.Coordinator;
        Host = new MachineHost(attachment, this, time: time);
        Coordinator = new Coordinator(history, Host.Participants, Options);
        Disk = new StoreThread(time);
        Notices = new StoreNotices(Options.StoreDeadline, time, notice => Attached?.Notice(notice));
        Parts = new PartsStore(held, store, new CheckpointWriter(held, store, Host, Options.Compress), Options.StoreDeadline, Notices.Parts, time);
        Participants = new IActorRef[Host.Participants.Length];
        Disk.Start();
    }

    public IMachineLock Held { get; }

    public CheckpointStore Store { get; }

    public CheckpointSettings Settings { get; }

    public MachineAttachment Attachment { get; }

    public MachineHost Host { get; }

    /// <summary>Deadlines and retention: the attachment's own, or the actor system's.</summary>
    public CoordinatorOptions Options { get; }

    /// <summary>The decisions. Used by the coordinator's actor while there is one, by its guardian while there is none.</summary>
    public Coordinator Coordinator { get; }

    public StoreThread Disk { get; }

    public PartsStore Parts { get; }

    /// <summary>Tells whoever listens to the machine what happens to its store.</summary>
    public StoreNotices Notices { get; }

    /// <summary>The participants' actors, each at its index.</summary>
    public IActorRef[] Participants { get; }

    /// <summary>The append that was handed to the journal and has no answer yet; null where there is none.</summary>
    public AppendInFlight? InFlight
    {
        get => _inFlight;
        set
        {
            _inFlight = value;
            _journalAtWork?.Dispose();
            _journalAtWork = value is null ? null : Notices.Journal.Begin("the journal's write");
        }
    }

    RoundPhase? ICoordinatorActor.Phase => Coordinator.Phase;

    public TimeSpan StopPatience => Settings.StopPatience;

    public TimeSpan? StopDeadline => Options.StopDeadline;

    // It waits for the store thread and for the journal; what has not ended by then hangs, and may still be written.
    public bool LeavesWriteBehind => !Completion.IsCompleted;

    /// <summary>The append for which the stream must be read again; null where none is in doubt.</summary>
    public AppendDoubt? InDoubt { get; private set; }

    /// <summary>Whether the next life must not believe the newest snapshot.</summary>
    public bool DoubtsSnapshots { get; set; }

    /// <summary>Ends when the first life has read the stream and found what the store holds.</summary>
    public Task Ready => _ready.Task;

    public Task Completion => _ended.Task;

    /// <summary>The machine for code that is no actor; null before it is attached.</summary>
    public AttachedMachine? Attached => Volatile.Read(ref _attached);

    /// <summary>The machine's actor.</summary>
    public IActorRef Guardian
    {
        get => _guardian;
        set => _guardian = value;
    }

    /// <summary>The coordinator's actor: whom the participants report to.</summary>
    public IActorRef Actor
    {
        get => _actor;
        set => _actor = value;
    }

    public bool IsReady => _ready.Task.IsCompletedSuccessfully;

    public void Start(AttachedMachine attached)
    {
        bool isTooLate;
        lock (_gate)
        {
            _attached = attached;
            isTooLate = _hasGuardianEnded;
        }

        _guardian.Tell(new Attach(attached));
        if (isTooLate)
            EndUnasked(attached);
    }

    /// <summary>
    /// The machine's actor has ended. Where nobody had asked for that, what it held is given back: perhaps nobody holds the machine.
    /// Who asked it to stop gives the machine up when they like.
    /// </summary>
    public void OnGuardianEnded()
    {
        lock (_gate)
            _hasGuardianEnded = true;
        if (Attached is { IsStopRequested: false } attached)
            EndUnasked(attached);
    }

    /// <summary>Nobody knows what became of an append until it is settled.</summary>
    public void BecomeDoubtful(long appendId, string doubt)
    {
        _unsettled = AppendSettlement.ByAbort(Held.Vm, Coordinator.History.Head, doubt, _time.GetUtcNow());
        InDoubt = new AppendDoubt(appendId, doubt, _unsettled);
    }

    /// <summary>The append is written or never will be; which of both, the stream says.</summary>
    public void BecomeSettled()
    {
        _unsettled = null;
        Parts.BecomeCertain();
    }

    /// <summary>The decisions have been told, one way or the other.</summary>
    public void EndDoubt() => InDoubt = null;

    public void BecomeReady() => _ready.TrySetResult();

    public void FailToStart(Exception failure) => _ready.TrySetException(failure);

    public Task<CoordinatorReply> AskAsync(Func<long, CoordinatorInput.Request> request)
    {
        var reply = _requests.Add(request, out var input);
        _guardian.Tell(input);
        if (_bug is { } bug)
            _requests.Refuse(input, new Refusal.CoordinatorEnded(bug.Message));
        else if (_isClosed)
            _requests.Refuse(input, new Refusal.Stopping());
        return reply;
    }

    public void Hear(CoordinatorInput report)
    {
        if (report is CoordinatorInput.ParticipantGone gone)
        {
            _gone.Enqueue(gone);
            Attached?.OnGone(gone);
        }

        _actor.Tell(report);
    }

    /// <summary>Lets the decisions take an input and carries out what they want.</summary>
    public void Handle(CoordinatorInput input, Action<CoordinatorEffect> carryOut)
    {
        if (input is CoordinatorInput.Request request && !_requests.TryTake(request))
            return;
        var now = new Moment((long)_time.GetElapsedTime(0).TotalMicroseconds, _time.GetUtcNow());
        _effects.Clear();
        Coordinator.Handle(input, now, _effects);
        foreach (var effect in _effects)
        {
            if (effect is CoordinatorEffect.Reply reply)
                _requests.Answer(reply);
            else
                carryOut(effect);
        }
    }

    /// <summary>Removes what no event names, after all that was posted before. Where that fails the next attachment's sweep does it.</summary>
    public void TidyUp(Action<PartsStore> work) => Disk.Post(() =>
    {
        try
        {
            work(Parts);
        }
        catch (Exception failure) when (failure is StoreException or InvalidOperationException)
        {
            // The store is closed, or cannot be written: what is left costs space, not correctness.
        }
    });

    /// <summary>The end of the stream as far as it is known, at least this one.</summary>
    public JournalHead LatestHead(JournalHead atLeast)
    {
        var head = Coordinator.History.Head;
        return head.SequenceNumber > atLeast.SequenceNumber ? head : atLeast;
    }

    /// <summary>What a new life must be told: what it has not seen, and who has ended.</summary>
    public IEnumerable<CoordinatorInput> Missed() => _gone.Concat<CoordinatorInput>(_requests.Unhandled);

    /// <summary>A bug of ours must not keep the guest: everybody runs, nobody waits for an answer that will not come.</summary>
    public void Abandon(Exception bug)
    {
        _bug = bug;
        foreach (var participant in Host.Participants.Where(each => each.Kind != ParticipantKind.Machine))
            Host.Tell(new CoordinatorEffect.ResumeParticipant(new RoundId(0), participant.Index));
        _requests.FailAll(bug);
    }

    /// <summary>The actors are gone: nobody answers any more.</summary>
    public Task CloseAsync()
    {
        lock (_gate)
            return _closing ??= CloseOnceAsync();
    }

    /// <summary>Waits until the journal has answered the append in flight, whoever is left to hear it, or longer than anybody waits.</summary>
    public Task PassJournalAsync() => _inFlight is null ? Task.CompletedTask : _fence.PassAsync();

    private async Task CloseOnceAsync()
    {
        _isClosed = true;
        if (_inFlight is { } append)
        {
            await _fence.PassAsync().ConfigureAwait(false);
            BecomeDoubtful(append.AppendId, "its coordinator was stopped meanwhile");
        }

        if (_unsettled is { } unsettled)
        {
            if (await unsettled.TrySettleAsync(Store.Journal, Settings.JournalPatience, _time).ConfigureAwait(false))
            {
                BecomeSettled();
                TidyUp(parts => parts.DiscardUncommitted(Coordinator.History.HighestNumber, unsettled.Head));
            }
            else
            {
                KeptLocks.Keep(Held);
                _fence.SayThatLockIsKept(Held.Vm);
            }
        }

        TidyUp(parts => parts.Finish(Coordinator.History.Head));
        Disk.Close();
        FailToStart(new StoreException(StoreFailure.Unusable, $"the actor system stopped while the machine '{Held.Vm}' was attached; start it again"));
        _requests.RefuseAll(new Refusal.Stopping());
        // What is still to be deleted needs the machine's lock, which is given back after this.
        await Disk.Ended.ConfigureAwait(false);
        Notices.Dispose();
        _ended.TrySetResult();
    }

    public void Dispose()
    {
        if (_isClosed)
            return;
        _guardian.Tell(PoisonPill.Instance);
    }

    private static void EndUnasked(AttachedMachine attached)
    {
        attached.OnCoordinatorLost("the machine's actor was ended");
        _ = EndAsync(attached);
    }

    private static async Task EndAsync(AttachedMachine attached)
    {
        try
        {
            await attached.EndAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
            // Whoever holds the machine is told by its own StopAsync; here nobody is left to be told.
        }
    }

    /// <summary>An append that was handed to the journal, and where the stream ends with it.</summary>
    internal sealed record AppendInFlight(long AppendId, JournalHead Intended);

    /// <summary>The machine is attached.</summary>
    internal sealed record Attach(AttachedMachine Attached);
}
