namespace Checkpoint.Kvm.Memory;

/// <summary>
/// The host memory that copies of guest memory are made into: bounded, and shared by all machines of the process. When disks
/// are slower than guests write, checkpoints wait for a place in it and it does not grow.
/// </summary>
public sealed class PagePool
{
    /// <summary>Bytes of one chunk.</summary>
    internal const int ChunkBytes = 2 << 20;

    private readonly object _gate = new();
    private readonly Stack<byte[]> _free = new();
    private readonly long _limit;
    private long _reserved;

    /// <summary>An empty pool; memory is taken from the host when it is first needed, and kept.</summary>
    /// <param name="limitBytes">At most so many bytes, in whole chunks of 2 MiB.</param>
    public PagePool(long limitBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limitBytes, ChunkBytes);
        LimitBytes = limitBytes;
        _limit = limitBytes / ChunkBytes;
    }

    /// <summary>The pool of machines that were given no other: half of the memory that this process may use.</summary>
    public static PagePool Shared { get; } = new(Math.Max(ChunkBytes, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2));

    /// <summary>At most so many bytes.</summary>
    public long LimitBytes { get; }

    /// <summary>Waits for so many chunks to be free, and keeps them for the caller.</summary>
    /// <param name="chunks">How many.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="InsufficientPageBufferException">The pool will never have so many.</exception>
    internal void Reserve(long chunks, CancellationToken cancellationToken)
    {
        if (chunks > _limit)
            throw new InsufficientPageBufferException(chunks * ChunkBytes, LimitBytes);
        using var wakes = cancellationToken.UnsafeRegister(static gate => Wake(gate!), _gate);
        lock (_gate)
        {
            while (_reserved + chunks > _limit)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Monitor.Wait(_gate);
            }

            _reserved += chunks;
        }
    }

    /// <summary>Keeps one chunk more for the caller, if it is free now.</summary>
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
    internal byte[] Take()
    {
        lock (_gate)
        {
            if (_free.TryPop(out var chunk))
                return chunk;
        }

        var made = GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true);
        // Touched here, so that the copy in the pause does not pay for the first touch.
        for (var page = 0; page < made.Length; page += Environment.SystemPageSize)
            made[page] = 0;
        return made;
    }

    /// <summary>Gives chunks back that were taken, and reservations that were not used.</summary>
    internal void Return(List<byte[]> taken, long reserved)
    {
        lock (_gate)
        {
            foreach (var chunk in taken)
                _free.Push(chunk);
            _reserved -= reserved;
            Monitor.PulseAll(_gate);
        }
    }

    private static void Wake(object gate)
    {
        lock (gate)
            Monitor.PulseAll(gate);
    }
}

/// <summary>A checkpoint needs more room for its copy of guest memory than there is.</summary>
/// <param name="neededBytes">How much it needs.</param>
/// <param name="limitBytes">How much there is for all machines of the process.</param>
public sealed class InsufficientPageBufferException(long neededBytes, long limitBytes)
    : Exception($"the memory to copy has {neededBytes >> 20} MiB and the buffer for all machines {limitBytes >> 20} MiB; give the engine a larger one")
{
}
