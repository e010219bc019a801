using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// Takes a guest's memory for checkpoints, most of it while the guest runs: rounds of copying what was written meanwhile, until
/// little is left or it does not become less; the rest is copied in the pause. One thread uses it at a time.
/// </summary>
/// <remarks>
/// Pages taken for a checkpoint that is not committed go into the next one. Until a first checkpoint is committed nothing is
/// known of what changed since any other, so it is full whatever was asked for. Where the host writes memory and nobody notes it, nothing is
/// known ever: then all of it is copied in the pause, every time.
/// Where the rest is too much for the pause it may be protected against writes there, and copied by <see cref="Complete"/>.
/// </remarks>
public sealed class MemoryCapture : IDisposable
{
    private const int MaxRounds = 30;
    private const int RoundsWithoutProgress = 3;

    // A round more costs what copying so many does.
    private const long FewPages = 16;

    // Up to this part of what was taken the pause leaves unprotected what it copies, so that the next checkpoint takes it once more.
    private const long TakenTwice = 32;

    // Room for the pause: a guest writes on until it is parked.
    private const long ReadyPages = 1024;
    private const long RoomPages = 16 * ReadyPages;

    private readonly IGuestMemory _memory;
    private readonly PageBuffer _buffer;
    private readonly PauseEstimate _estimate;
    private readonly DirtyPages? _dirty;
    private readonly PageSet _left;
    private readonly PageSet _taken;
    private bool _hasBase;
    private bool _leavesLog;
    private bool _isSettled = true;
    private bool _hasLogEnded;
    private ProtectedCopy? _protected;
    private ProtectedCopy? _standby;
    private string? _obstacle;
    private PauseLimit? _limit;
    private long _pagesLeft;
    private TimeSpan _captured;
    private MemoryTaking _taking = new(MemoryWay.Paused, 0, 0, 0, 0);

    /// <summary>Begins to log what the guest writes.</summary>
    /// <param name="machine">The machine; it outlives this.</param>
    /// <param name="pool">Where copies are made.</param>
    /// <param name="knowsHostWrites">Whether every write of the host is noted in <see cref="Device.IGuestMemory.Written"/>.</param>
    /// <param name="time">Measures what copying takes; the system's where none is given.</param>
    public MemoryCapture(Machine machine, PagePool pool, bool knowsHostWrites = true, TimeProvider? time = null)
    {
        var regions = machine.Memory.Regions;
        _memory = machine.Memory;
        _estimate = new PauseEstimate(time ?? TimeProvider.System);
        _buffer = new PageBuffer(machine.Memory, pool);
        _dirty = knowsHostWrites ? new DirtyPages(machine.Vm, machine.Memory) : null;
        _left = new PageSet(regions);
        _taken = new PageSet(regions);
    }

    /// <summary>Whether the last capture holds all memory or what changed since the last one that was committed.</summary>
    public CheckpointMode Mode { get; private set; }

    /// <summary>How the last capture was taken; how long its preparation took the caller knows better.</summary>
    public MemoryTaking Taking => _taking;

    /// <summary>How many pages the last capture holds; counted when it is asked for, after the pause. Valid until <see cref="Settle"/>.</summary>
    public long Pages => _taken.Count;

    /// <summary>The last capture in ascending order of guest address. Valid until <see cref="Settle"/>.</summary>
    public IEnumerable<CopiedMemory> Copies => _buffer.Copies(_taken);

    /// <summary>Copies while the guest runs.</summary>
    /// <param name="mode">What the checkpoint is to hold.</param>
    /// <param name="limit">How long the pause may be; null for as long as it takes.</param>
    /// <param name="cancellationToken">Ends it; what was copied is given up.</param>
    /// <exception cref="InsufficientPageBufferException">There is no room for the copies.</exception>
    /// <exception cref="PauseLimitException">The pause would be longer than it may be.</exception>
    public void Prepare(CheckpointMode mode, PauseLimit? limit = null, CancellationToken cancellationToken = default)
    {
        if (!_isSettled)
            Settle(isCommitted: false);
        _isSettled = false;
        Mode = _hasBase && _dirty is not null ? mode : CheckpointMode.Full;
        if (Mode == CheckpointMode.Full)
            _left.AddAll();
        var (rounds, left) = (0, 0L);
        if (_dirty is not null)
        {
            (rounds, left) = CopyRounds(_dirty, cancellationToken);
            _buffer.MakeReady((2 * left) + ReadyPages, (16 * left) + RoomPages);
            _leavesLog = left * TakenTwice <= _taken.Count;
        }
        else
        {
            left = _left.Count;
            _buffer.Reserve(left, 0, cancellationToken);
            _buffer.MakeReady(left, left);
        }

        _limit = limit is { Over: not OverMaxPause.Exceed } ? limit : null;
        _obstacle = null;
        if (_limit is not null)
            _standby = OpenProtected();
        KeepToLimit(left);
        var copied = _dirty is null ? MemoryWay.Paused : MemoryWay.Precopied;
        _taking = new MemoryTaking(_protected is null ? copied : MemoryWay.Protected, rounds, left, 0, 0);
    }

    /// <summary>
    /// Copies what is left, or protects it; the guest must be parked. It allocates nothing and takes no lock: the copies go where room was made
    /// ready.
    /// </summary>
    /// <exception cref="InsufficientPageBufferException">That was not enough.</exception>
    /// <exception cref="PauseLimitException">Until it was parked the guest has written more than the pause has time for.</exception>
    public void Capture()
    {
        var begun = _estimate.Now();
        if (_protected is not null || (_leavesLog && _dirty is not null))
            _dirty!.AddTo(_left);
        else
            _dirty?.MoveTo(_left);
        // What is written until the guest is parked comes on top of what was left before.
        if (_limit is not null && _protected is null)
            KeepToLimit(_left.Count);

        _pagesLeft = _protected?.Protect() ?? _buffer.CopyInPause(_left);
        _captured = _estimate.Since(begun);
    }

    /// <summary>
    /// Copies what is protected, beside the guest that runs again; nothing where all was copied in the pause. Before it has returned there are no
    /// <see cref="Copies"/>.
    /// </summary>
    /// <exception cref="InsufficientPageBufferException">There is no room for the copies.</exception>
    public void Complete()
    {
        _taking = _taking with { PagesLeft = _pagesLeft, CaptureUs = (long)_captured.TotalMicroseconds };
        if (_protected is null)
            _estimate.LearnPause(_pagesLeft, _captured);
        else
            CompleteProtected(_protected);
        EndProtection();
        _taken.UnionWith(_left);
        _left.Clear();
        _buffer.ReturnUnused();
    }

    /// <summary>The checkpoint is over: its copies go.</summary>
    /// <param name="isCommitted">Whether it exists; otherwise its pages go into the next.</param>
    public void Settle(bool isCommitted)
    {
        if (_isSettled)
            return;
        _isSettled = true;
        try
        {
            EndProtection();
        }
        finally
        {
            _taken.UnionWith(_left);
            _left.Clear();
            _buffer.Release(_taken);
            _hasBase |= isCommitted;
            if (!isCommitted)
                _left.UnionWith(_taken);
            _taken.Clear();
        }
    }

    /// <summary>Ends the log: what the guest writes from now on nobody knows. The copies stay until <see cref="Dispose"/>.</summary>
    public void EndLog()
    {
        if (_hasLogEnded)
            return;
        _hasLogEnded = true;
        _dirty?.Dispose();
    }

    /// <summary>Ends the log and gives the room back.</summary>
    public void Dispose()
    {
        Settle(isCommitted: false);
        EndLog();
    }

    private void CompleteProtected(ProtectedCopy copy)
    {
        _taking = _taking with { Way = MemoryWay.Protected };
        copy.Complete();
    }

    // What was to be copied stays among the left where it was not: the log does not tell of it again.
    private void EndProtection()
    {
        // First, so that one whose end fails is not taken for the next checkpoint's.
        var (ending, unused) = (_protected, _standby);
        (_protected, _standby) = (null, null);
        try
        {
            unused?.Dispose();
        }
        finally
        {
            ending?.Dispose();
        }
    }

    // Protects what is left where it is too much for the pause, or refuses.
    private void KeepToLimit(long left)
    {
        if (_limit is null || _estimate.Of(left) <= _limit.ForMemory)
            return;
        _protected = _standby ?? throw TooMuch(left);
        _standby = null;
    }

    private PauseLimitException TooMuch(long left)
    {
        var refusal = new PauseLimitException(_limit!, left, _estimate.Of(left), _obstacle);
        _estimate.Doubt();
        return refusal;
    }

    // Null where writes are not to be protected, or cannot be, which a refusal then says.
    private ProtectedCopy? OpenProtected()
    {
        if (_limit!.Over != OverMaxPause.Protect)
            return null;
        // A writer that nobody knows of may be managed code, whose wait would keep the whole process waiting at the next collection.
        if (_dirty is not null)
            return ProtectedCopy.Open(_memory, _buffer, _left, out _obstacle);
        _obstacle = "writes of the host are not noted";
        return null;
    }

    // How many rounds it took, and how many pages are left.
    private (int Rounds, long Left) CopyRounds(DirtyPages dirty, CancellationToken cancellationToken)
    {
        dirty.MoveTo(_left);
        var count = _left.Count;
        _buffer.Reserve(count, (count / 4) + ReadyPages, cancellationToken);
        var (least, stuck) = (count, 0);
        for (var round = 1; ; round++)
        {
            // Before the copy, which may be cancelled half way: what has a place in the buffer is among the taken.
            _taken.UnionWith(_left);
            var begun = _estimate.Now();
            _buffer.Copy(_left, cancellationToken);
            _estimate.LearnCopy(count, _estimate.Since(begun), areAll: round == 1 && Mode == CheckpointMode.Full);
            _left.Clear();
            dirty.MoveTo(_left);
            count = _left.Count;

            // Not a tenth fewer than ever: the guest writes as fast as it is copied, or a round was disturbed.
            stuck = count > least - (least / 10) ? stuck + 1 : 0;
            least = Math.Min(least, count);
            if (count <= FewPages || stuck == RoundsWithoutProgress || round == MaxRounds)
                return (round, count);
        }
    }
}
