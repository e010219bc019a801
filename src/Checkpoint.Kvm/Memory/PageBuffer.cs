using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>One stretch of copied guest memory.</summary>
/// <param name="GuestAddress">Guest physical address of the first byte.</param>
/// <param name="Bytes">The copy.</param>
public readonly record struct CopiedMemory(ulong GuestAddress, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// Copies of pages, packed into chunks of a pool. A page has one place, and is copied over its older copy; a page of zeros has none.
/// </summary>
internal sealed class PageBuffer
{
    private const int PageBytes = (int)MemoryRegion.PageBytes;
    private const int PagesPerChunk = PageChunk.Bytes / PageBytes;
    private const int Nowhere = -1;
    private const int Zeros = -2;

    private static readonly byte[] s_zeros = new byte[PageChunk.Bytes];

    private readonly IGuestMemory _memory;
    private readonly ImmutableArray<MemoryRegion> _regions;
    private readonly PagePool _pool;
    private readonly long _pages;
    private readonly List<PageChunk> _chunks = [];
    private int[][]? _places;
    private long _reserved;
    private int _used;
    private bool _isPause;

    public PageBuffer(IGuestMemory memory, PagePool pool)
    {
        _memory = memory;
        _regions = memory.Regions;
        _pool = pool;
        _pages = _regions.Sum(PageSet.PagesOf);
    }

    // Made when it is first needed: a machine that is brought back does not wait for a table of all its pages.
    private int[][] Places
    {
        get
        {
            if (_places is null)
            {
                _places = [.. _regions.Select(region => GC.AllocateUninitializedArray<int>(checked((int)PageSet.PagesOf(region))))];
                foreach (var places in _places)
                    Array.Fill(places, Nowhere);
            }

            return _places;
        }
    }

    /// <summary>Waits until there is room for so many pages.</summary>
    /// <param name="needed">How many.</param>
    /// <param name="wished">How many more may come, for which nobody is kept waiting later.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="InsufficientPageBufferException">There never will be.</exception>
    public void Reserve(long needed, long wished, CancellationToken cancellationToken)
    {
        // In the pause nothing is allocated: the places are there before it.
        _ = Places;
        _reserved += _pool.Reserve(ChunksFor(needed), ChunksFor(Math.Min(_pages, needed + wished)), cancellationToken);
    }

    /// <summary>
    /// Makes room for so many pages more, as far as there is any without waiting: the pause takes what it finds, without a lock and without
    /// allocating.
    /// </summary>
    /// <param name="pages">How many are expected; the host gives its memory for them now.</param>
    /// <param name="atMost">How many there may be: for those beyond it gives its memory when they come.</param>
    public void MakeReady(long pages, long atMost)
    {
        // Each page has one place at most.
        atMost = Math.Min(atMost, _pages - _used);
        while (Ready < atMost && TryAddChunk(touched: Ready < pages))
        {
            // One after another.
        }
    }

    /// <summary>Gives back what was made ready and not needed.</summary>
    public void ReturnUnused()
    {
        var kept = NoteUsed();
        var unused = Math.Max(0, _reserved - kept);
        _pool.Return(_chunks, kept, unused);
        _reserved -= unused;
    }

    /// <summary>Copies the pages of a set.</summary>
    /// <returns>How many there were.</returns>
    /// <exception cref="InsufficientPageBufferException">There is no room left.</exception>
    public long Copy(PageSet pages, CancellationToken cancellationToken)
    {
        var copied = 0L;
        for (var region = 0; region < _regions.Length; region++)
            copied += Copy(pages, region, 0, PageSet.PagesOf(_regions[region]), cancellationToken);
        return copied;
    }

    /// <summary>Copies the pages of a set into the room that was made ready, and into no other: it allocates nothing and takes no lock.</summary>
    /// <returns>How many there were.</returns>
    /// <exception cref="InsufficientPageBufferException">The room was not enough.</exception>
    public long CopyInPause(PageSet pages)
    {
        _isPause = true;
        try
        {
            return Copy(pages, CancellationToken.None);
        }
        finally
        {
            _isPause = false;
        }
    }

    /// <summary>Copies those of a set's pages that lie in a part of a slot.</summary>
    /// <returns>How many there were.</returns>
    /// <exception cref="InsufficientPageBufferException">There is no room left.</exception>
    public long Copy(PageSet pages, int region, long first, long end, CancellationToken cancellationToken)
    {
        var copied = 0L;
        for (var page = first; pages.TryNextRun(region, ref page, out var count) && page < end; page += count)
        {
            cancellationToken.ThrowIfCancellationRequested();
            count = Math.Min(count, end - page);
            count = Places[region][page] < 0 ? CopyNew(region, page, count) : CopyAgain(region, page, count);
            copied += count;
        }

        return copied;
    }

    /// <summary>The copies of a set's pages in ascending order of guest address.</summary>
    public IEnumerable<CopiedMemory> Copies(PageSet pages)
    {
        for (var region = 0; region < _regions.Length; region++)
        {
            var start = _regions[region].GuestAddress;
            for (var page = 0L; pages.TryNextRun(region, ref page, out var count);)
            {
                for (var end = page + count; page < end;)
                {
                    var length = Together(Places[region], page, end);
                    yield return new CopiedMemory(start + ((ulong)page * PageBytes), At(Places[region][page], length));
                    page += length;
                }
            }
        }
    }

    /// <summary>Forgets all copies and gives the chunks back.</summary>
    public void Release(PageSet pages)
    {
        for (var region = 0; region < _regions.Length; region++)
        {
            for (var page = 0L; pages.TryNextRun(region, ref page, out var count); page += count)
                Places[region].AsSpan((int)page, (int)count).Fill(Nowhere);
        }

        NoteUsed();
        _pool.Return(_chunks, 0, _reserved);
        (_reserved, _used) = (0, 0);
    }

    // Pages that have no place yet, as many as follow each other and go into one chunk.
    private long CopyNew(int region, long page, long count)
    {
        if (Ready == 0)
            AddChunk();
        var places = Places[region];
        var room = PagesPerChunk - (_used % PagesPerChunk);
        var length = 1;
        while (length < count && length < room && places[page + length] < 0)
            length++;
        var copies = _chunks[_used / PagesPerChunk].GetSpan().Slice(_used % PagesPerChunk * PageBytes, length * PageBytes);
        _memory.Read(_regions[region].GuestAddress + ((ulong)page * PageBytes), copies);
        var kept = 0;
        for (var i = 0; i < length; i++)
        {
            var copy = copies.Slice(i * PageBytes, PageBytes);
            if (!copy.ContainsAnyExcept((byte)0))
            {
                places[page + i] = Zeros;
                continue;
            }

            // Those behind a page of zeros move up to its place.
            if (kept != i)
                copy.CopyTo(copies.Slice(kept * PageBytes, PageBytes));
            places[page + i] = _used + kept++;
        }

        _used += kept;
        return length;
    }

    // Pages that have places, as many as lie together.
    private long CopyAgain(int region, long page, long count)
    {
        var place = Places[region][page];
        var length = Together(Places[region], page, page + count);
        var copies = _chunks[place / PagesPerChunk].GetSpan().Slice(place % PagesPerChunk * PageBytes, (int)length * PageBytes);
        _memory.Read(_regions[region].GuestAddress + ((ulong)page * PageBytes), copies);
        return length;
    }

    private long Ready => ((long)_chunks.Count * PagesPerChunk) - _used;

    private static long ChunksFor(long pages) => (pages + PagesPerChunk - 1) / PagesPerChunk;

    // Those that the copying in the pause touched.
    private int NoteUsed()
    {
        var used = (int)ChunksFor(_used);
        for (var i = 0; i < used; i++)
            _pool.NoteTouched(_chunks[i]);
        return used;
    }

    private void AddChunk()
    {
        if (_isPause)
            throw new InsufficientPageBufferException(_chunks.Count * (long)PageChunk.Bytes);
        if (!TryAddChunk(touched: true))
            throw new InsufficientPageBufferException((_chunks.Count + 1L) * PageChunk.Bytes, _pool.LimitBytes);
    }

    private bool TryAddChunk(bool touched)
    {
        if (_chunks.Count >= _reserved)
        {
            if (!_pool.TryReserveOne())
                return false;
            _reserved++;
        }

        _chunks.Add(_pool.Take(touched));
        return true;
    }

    // How many pages from one on lie together: behind each other in one chunk, or all zero.
    private static long Together(int[] places, long page, long end)
    {
        var first = places[page];
        var length = 1L;
        if (first == Zeros)
        {
            while (page + length < end && length < PagesPerChunk && places[page + length] == Zeros)
                length++;
            return length;
        }

        var room = PagesPerChunk - (first % PagesPerChunk);
        while (page + length < end && length < room && places[page + length] == first + length)
            length++;
        return length;
    }

    private ReadOnlyMemory<byte> At(int place, long pages) => place == Zeros
        ? s_zeros.AsMemory(0, (int)pages * PageBytes)
        : _chunks[place / PagesPerChunk].Memory.Slice(place % PagesPerChunk * PageBytes, (int)pages * PageBytes);
}
