namespace Checkpoint.Kvm.Memory;

/// <summary>
/// The host memory that copies of guest memory are made into: bounded, and shared by all machines of the process. When disks
/// are slower than guests write, checkpoints wait for a place in it, first come first served, and it does not grow.
/// </summary>
public sealed class PagePool
{
    private readonly object _gate = new();
    private readonly Stack<PageChunk> _touched = new();
    private readonly Stack<PageChunk> _untouched = new();
    private readonly LinkedList<Waiter> _waiting = new();
    private readonly long _limit;
    private readonly ITimer _idle;
    private readonly TimeSpan _keepIdle;
    private bool _looksForIdle;
    private int _fewestIdle;
    private long _reserved;
    private long _made;
    private long _resident;

    /// <summary>An empty pool; memory is taken from the host when it is first needed.</summary>
    /// <param name="limitBytes">At most so many bytes, in whole chunks of 2 MiB.</param>
    /// <param name="keepIdle">What was not needed for so long goes back to the host; 10 s where nothing is said.</param>
    /// <param name="time">Counts that; the system's where none is given.</param>
    public PagePool(long limitBytes, TimeSpan? keepIdle = null, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limitBytes, PageChunk.Bytes);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(keepIdle ?? TimeSpan.MaxValue, TimeSpan.Zero, nameof(keepIdle));
        LimitBytes = limitBytes;
        _limit = limitBytes / PageChunk.Bytes;
        _keepIdle = keepIdle ?? TimeSpan.FromSeconds(10);
        // A pool that nobody has any more must not live on because of its timer.
        var self = new WeakReference<PagePool>(this);
        _idle = (time ?? TimeProvider.System).CreateTimer(static state => GiveBackIdle(state!), self, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The pool of machines that were given no other: half of the memory that this process may use.</summary>
    public static PagePool Shared { get; } = new(Math.Max(PageChunk.Bytes, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2));

    /// <summary>At most so many bytes.</summary>
    public long LimitBytes { get; }

    /// <summary>The bytes that this pool has of the host's now, whether machines have copies in them or not.</summary>
    public long ResidentBytes => Interlocked.Read(ref _resident) * PageChunk.Bytes;

    /// <summary>Waits for so many chunks to be free, behind those who came before, and keeps them for the caller.</summary>
    /// <param name="needed">How many.</param>
    /// <param name="wished">How many it takes where they are free by then.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>How many it has kept.</returns>
    /// <exception cref="InsufficientPageBufferException">The pool will never have so many.</exception>
    internal long Reserve(long needed, long wished, CancellationToken cancellationToken)
    {
        if (needed > _limit)
            throw new InsufficientPageBufferException(needed * PageChunk.Bytes, LimitBytes);
        var waiter = new Waiter(needed, Math.Max(needed, wished));
        using var wakes = cancellationToken.UnsafeRegister(static gate => Wake(gate!), _gate);
        lock (_gate)
        {
            var place = _waiting.AddLast(waiter);
            ServeInOrder();
            while (!waiter.IsServed)
            {
                if (cancellationToken.IsCancellationRequested)
                {
                    _waiting.Remove(place);
                    // Whoever stood behind it may be served now.
                    ServeInOrder();
                    throw new OperationCanceledException(cancellationToken);
                }

                Monitor.Wait(_gate);
            }

            return waiter.Served;
        }
    }

    /// <summary>Keeps one chunk more for the caller, if it is free now. It goes before those who wait: they wait for this caller's end.</summary>
    internal bool TryReserveOne()
    {
        lock (_gate)
        {
            if (_reserved >= _limit)
                return false;
            _reserved++;
            return true;
        }
    }

    /// <summary>A chunk that the caller has reserved.</summary>
    /// <param name="touched">Whether the host must have given pages for it.</param>
    internal PageChunk Take(bool touched)
    {
        PageChunk? chunk;
        lock (_gate)
        {
            // What is not touched now, and may never be, must not keep from the host what it could have back.
            var (first, second) = touched ? (_touched, _untouched) : (_untouched, _touched);
            if (!first.TryPop(out chunk) && (touched || _made == _limit))
                second.TryPop(out chunk);
            _made += chunk is null ? 1 : 0;
            _fewestIdle = Math.Min(_fewestIdle, _touched.Count);
        }

        chunk ??= new PageChunk();
        if (touched && !chunk.IsTouched)
        {
            chunk.Touch();
            NoteTouched(chunk);
        }

        return chunk;
    }

    /// <summary>The host has given pages for a chunk that was taken.</summary>
    internal void NoteTouched(PageChunk chunk)
    {
        if (chunk.IsTouched)
            return;
        chunk.IsTouched = true;
        Interlocked.Increment(ref _resident);
    }

    /// <summary>Gives chunks back that were taken, and reservations.</summary>
    /// <param name="chunks">All chunks that the caller has.</param>
    /// <param name="keep">How many of them, the first ones, it keeps.</param>
    /// <param name="reserved">How many reservations go.</param>
    internal void Return(List<PageChunk> chunks, int keep, long reserved)
    {
        lock (_gate)
        {
            for (var i = keep; i < chunks.Count; i++)
                (chunks[i].IsTouched ? _touched : _untouched).Push(chunks[i]);
            _reserved -= reserved;
            ServeInOrder();
            if (_touched.Count > 0 && !_looksForIdle)
                LookForIdle();
        }

        chunks.RemoveRange(keep, chunks.Count - keep);
    }

    private void ServeInOrder()
    {
        while (_waiting.First?.Value is { } first && _reserved + first.Needed <= _limit)
        {
            _waiting.RemoveFirst();
            first.Served = Math.Min(first.Wished, _limit - _reserved);
            first.IsServed = true;
            _reserved += first.Served;
        }

        Monitor.PulseAll(_gate);
    }

    private void LookForIdle()
    {
        _looksForIdle = true;
        _fewestIdle = _touched.Count;
        _idle.Change(_keepIdle, Timeout.InfiniteTimeSpan);
    }

    private static void GiveBackIdle(object pool)
    {
        if (((WeakReference<PagePool>)pool).TryGetTarget(out var alive))
            alive.GiveBackIdle();
    }

    // What was free at every moment since the last look was needed by nobody.
    private void GiveBackIdle()
    {
        var idle = new List<PageChunk>();
        lock (_gate)
        {
            while (idle.Count < _fewestIdle && _touched.TryPop(out var chunk))
                idle.Add(chunk);
        }

        foreach (var chunk in idle)
        {
            if (!chunk.TryGiveBack())
                continue;
            chunk.IsTouched = false;
            Interlocked.Decrement(ref _resident);
        }

        lock (_gate)
        {
            foreach (var chunk in idle)
                (chunk.IsTouched ? _touched : _untouched).Push(chunk);
            _looksForIdle = false;
            if (_touched.Count > 0)
                LookForIdle();
        }
    }

    private static void Wake(object gate)
    {
        lock (gate)
            Monitor.PulseAll(gate);
    }

    private sealed class Waiter(long needed, long wished)
    {
        public long Needed { get; } = needed;

        public long Wished { get; } = wished;

        public bool IsServed { get; set; }

        public long Served { get; set; }
    }
}
