using Checkpoint.Kvm.Machines;
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
/// </remarks>
public sealed class MemoryCapture : IDisposable
{
    private const int MaxRounds = 30;
    private const long FewPages = 128;

    private readonly PageBuffer _buffer;
    private readonly DirtyPages? _dirty;
    private readonly PageSet _left;
    private readonly PageSet _taken;
    private bool _hasBase;
    private bool _isSettled = true;

    /// <summary>Begins to log what the guest writes.</summary>
    /// <param name="machine">The machine; it outlives this.</param>
    /// <param name="pool">Where copies are made.</param>
    /// <param name="knowsHostWrites">Whether every write of the host is noted in <see cref="Device.IGuestMemory.Written"/>.</param>
    public MemoryCapture(Machine machine, PagePool pool, bool knowsHostWrites = true)
    {
        var regions = machine.Memory.Regions;
        _buffer = new PageBuffer(machine.Memory, pool);
        _dirty = knowsHostWrites ? new DirtyPages(machine.Vm, machine.Memory) : null;
        _left = new PageSet(regions);
        _taken = new PageSet(regions);
    }

    /// <summary>Whether the last capture holds all memory or what changed since the last one that was committed.</summary>
    public CheckpointMode Mode { get; private set; }

    /// <summary>How many pages the last capture holds; counted when it is asked for, after the pause. Valid until <see cref="Settle"/>.</summary>
    public long Pages => _taken.Count;

    /// <summary>The last capture in ascending order of guest address. Valid until <see cref="Settle"/>.</summary>
    public IEnumerable<CopiedMemory> Copies => _buffer.Copies(_taken);

    /// <summary>Copies while the guest runs.</summary>
    /// <param name="mode">What the checkpoint is to hold.</param>
    /// <param name="cancellationToken">Ends it; what was copied is given up.</param>
    /// <exception cref="InsufficientPageBufferException">There is no room for the copies.</exception>
    public void Prepare(CheckpointMode mode, CancellationToken cancellationToken = default)
    {
        if (!_isSettled)
            Settle(isCommitted: false);
        _isSettled = false;
        Mode = _hasBase && _dirty is not null ? mode : CheckpointMode.Full;
        if (Mode == CheckpointMode.Full)
            _left.AddAll();
        if (_dirty is null)
        {
            _buffer.Reserve(_left.Count, cancellationToken);
            _buffer.MakeReady(_left.Count);
            return;
        }

        CopyRounds(_dirty, cancellationToken);
    }

    /// <summary>Copies what is left; the guest must be parked. It allocates nothing as long as the room that was made ready is enough.</summary>
    /// <exception cref="InsufficientPageBufferException">There is no room for the copies.</exception>
    public void Capture()
    {
        _dirty?.MoveTo(_left);
        _taken.UnionWith(_left);
        _buffer.Copy(_left, CancellationToken.None);
        _left.Clear();
    }

    /// <summary>The checkpoint is over: its copies go.</summary>
    /// <param name="isCommitted">Whether it exists; otherwise its pages go into the next.</param>
    public void Settle(bool isCommitted)
    {
        if (_isSettled)
            return;
        _isSettled = true;
        _buffer.Release(_taken);
        _hasBase |= isCommitted;
        if (!isCommitted)
            _left.UnionWith(_taken);
        _taken.Clear();
    }

    /// <summary>Ends the log and gives the room back.</summary>
    public void Dispose()
    {
        Settle(isCommitted: false);
        _dirty?.Dispose();
    }

    private void CopyRounds(DirtyPages dirty, CancellationToken cancellationToken)
    {
        dirty.MoveTo(_left);
        var count = _left.Count;
        _buffer.Reserve(count + FewPages, cancellationToken);
        for (var round = 1; ; round++)
        {
            // Before the copy, which may be cancelled half way: what has a place in the buffer is among the taken.
            _taken.UnionWith(_left);
            _buffer.Copy(_left, cancellationToken);
            _left.Clear();
            dirty.MoveTo(_left);
            var before = count;
            count = _left.Count;

            // Less than a tenth fewer than the round before: the guest writes as fast as it is copied.
            if (count <= FewPages || count > before - (before / 10) || round == MaxRounds)
                break;
        }

        _buffer.MakeReady((2 * count) + FewPages);
    }
}
