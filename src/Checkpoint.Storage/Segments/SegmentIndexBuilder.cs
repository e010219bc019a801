using System.Buffers.Binary;

namespace Checkpoint.Storage.Segments;

/// <summary>Gathers the runs and checksums of a segment while its pages are written, and gives the index at the end.</summary>
internal sealed class SegmentIndexBuilder : IDisposable
{
    private readonly PooledList<IndexRun> _runs = new();
    private readonly PooledList<uint> _checksums = new();
    private readonly PooledList<byte> _bytes = new();
    private ulong _zeroPages;
    private int _blockRuns;

    /// <summary>Where the next data page goes in the file.</summary>
    public long DataEnd => SegmentFormat.DataOffset + ((long)_checksums.Count * SegmentFormat.PageBytes);

    /// <summary>Notes pages of zeros.</summary>
    public void AddZeros(ulong address, int pages)
    {
        _zeroPages += (ulong)pages;
        Add(new IndexRun(address, 0, pages, 0, 0, PageContent.Zero, PageEncoding.None));
    }

    /// <summary>Notes data pages, which stand at <see cref="DataEnd"/>.</summary>
    public void AddData(ulong address, ReadOnlySpan<byte> pages)
    {
        var count = pages.Length / SegmentFormat.PageBytes;
        Add(new IndexRun(address, DataEnd, count, (uint)pages.Length, (uint)_checksums.Count, PageContent.Data, PageEncoding.None));
        AddChecksums(pages);
    }

    /// <summary>Begins a block: the packed pages that follow are in it.</summary>
    public void BeginBlock() => _blockRuns = _runs.Count;

    /// <summary>Notes pages of the block that was begun last.</summary>
    public void AddPacked(ulong address, ReadOnlySpan<byte> pages)
    {
        Add(new IndexRun(address, 0, pages.Length / SegmentFormat.PageBytes, 0, (uint)_checksums.Count, PageContent.Data, PageEncoding.Brotli));
        AddChecksums(pages);
    }

    /// <summary>Ends a block: where it stands in the file is known only now that it is packed.</summary>
    public void EndBlock(long offset, int storedBytes)
    {
        foreach (ref var run in _runs.Items[_blockRuns..])
        {
            if (run.Content == PageContent.Data)
                run = run with { FileOffset = offset, StoredBytes = (uint)storedBytes };
        }

        _blockRuns = _runs.Count;
    }

    /// <summary>The bytes of the index, until it is disposed of; asked for once.</summary>
    /// <exception cref="InvalidOperationException">There are more runs and pages than an index can hold (2 GiB of it).</exception>
    public ReadOnlyMemory<byte> Build(ReadOnlySpan<byte> header)
    {
        var size = SegmentFormat.IndexHeadBytes + ((long)_runs.Count * SegmentFormat.RunBytes) + ((long)_checksums.Count * SegmentFormat.ChecksumBytes);
        if (size > Array.MaxLength)
            throw new InvalidOperationException($"A segment with {_runs.Count} runs and {_checksums.Count} pages is too large.");
        var index = _bytes.Extend((int)size);
        index.Clear();
        header[..SegmentFormat.HeaderBytes].CopyTo(index);
        var head = index[SegmentFormat.HeaderBytes..];
        BinaryPrimitives.WriteInt64LittleEndian(head, _runs.Count);
        BinaryPrimitives.WriteInt64LittleEndian(head[8..], _checksums.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(head[16..], _zeroPages);
        var rest = index[SegmentFormat.IndexHeadBytes..];
        foreach (var run in _runs.Items)
        {
            SegmentFormat.WriteRun(rest, run);
            rest = rest[SegmentFormat.RunBytes..];
        }

        foreach (var checksum in _checksums.Items)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(rest, checksum);
            rest = rest[SegmentFormat.ChecksumBytes..];
        }

        return _bytes.Memory;
    }

    /// <summary>Forgets all.</summary>
    public void Dispose()
    {
        _runs.Dispose();
        _checksums.Dispose();
        _bytes.Dispose();
    }

    private void AddChecksums(ReadOnlySpan<byte> pages) => Crc32C.OfPages(pages, _checksums.Extend(pages.Length / SegmentFormat.PageBytes));

    /// <summary>Adds to the run before where it goes on there; a packed run lies in one block.</summary>
    private void Add(IndexRun run)
    {
        var canGoOn = run.Encoding == PageEncoding.None || _runs.Count > _blockRuns;
        if (canGoOn && _runs.Count > 0 && _runs.Items[^1] is var last && last.Content == run.Content
            && last.GuestAddress + ((ulong)last.Pages * SegmentFormat.PageBytes) == run.GuestAddress
            && last.Pages + run.Pages <= SegmentFormat.MaxRunPages)
        {
            _runs.Items[^1] = last with { Pages = last.Pages + run.Pages, StoredBytes = last.StoredBytes + run.StoredBytes };
        }
        else
        {
            _runs.Add(run);
        }
    }
}
