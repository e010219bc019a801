namespace Checkpoint.Storage.Segments;

/// <summary>One block of a compressed segment.</summary>
/// <param name="FirstPage">The place of its first page among the data pages, and of its checksum in the table.</param>
/// <param name="Pages">How many pages.</param>
/// <param name="FileOffset">Where it begins in the file.</param>
/// <param name="StoredBytes">How many bytes of the file it has, its checksum included.</param>
internal readonly record struct PackedBlock(int FirstPage, int Pages, long FileOffset, int StoredBytes);

/// <summary>The blocks of a compressed segment, which lie behind each other in the file and hold all of its data pages in their order.</summary>
internal sealed class PackedBlocks
{
    private readonly PackedBlock[] _blocks;

    private PackedBlocks(PackedBlock[] blocks) => _blocks = blocks;

    /// <summary>Where the last one ends in the file.</summary>
    public long DataEnd => _blocks[^1].FileOffset + _blocks[^1].StoredBytes;

    public PackedBlock this[int block] => _blocks[block];

    /// <summary>The number of the block that has a data page.</summary>
    public int Find(int page)
    {
        var (low, high) = (0, _blocks.Length);
        while (high - low > 1)
        {
            var middle = (low + high) >>> 1;
            if (_blocks[middle].FirstPage <= page)
                low = middle;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>Puts the blocks together from the runs of an index, and believes none of them.</summary>
    /// <param name="dataPages">How many pages all of them have.</param>
    /// <param name="indexOffset">Where they end in the file at the latest.</param>
    public sealed class Builder(long dataPages, long indexOffset)
    {
        private readonly List<PackedBlock> _blocks = [];
        private long _pages;

        public bool IsEmpty => _blocks.Count == 0;

        /// <summary>Adds a run to the block that the one before it is in, or to the one behind that.</summary>
        /// <returns>False where the run cannot be there.</returns>
        public bool TryAdd(IndexRun run)
        {
            if (run.Pages is < 1 or > SegmentFormat.MaxBlockPages || run.FirstChecksum != _pages || _pages + run.Pages > dataPages)
                return false;
            _pages += run.Pages;
            var end = SegmentFormat.DataOffset + 0L;
            if (_blocks.Count > 0)
            {
                var last = _blocks[^1];
                if (run.FileOffset == last.FileOffset)
                {
                    _blocks[^1] = last with { Pages = last.Pages + run.Pages };
                    return run.StoredBytes == last.StoredBytes && last.Pages + run.Pages <= SegmentFormat.MaxBlockPages;
                }

                end = last.FileOffset + last.StoredBytes;
            }

            // The runs that follow may still make the block larger, and it may have been small enough for them only.
            if (run.FileOffset != end || run.StoredBytes <= SegmentFormat.BlockChecksumBytes
                || run.StoredBytes > SegmentFormat.MaxBlockBytes(SegmentFormat.MaxBlockPages) || end + run.StoredBytes > indexOffset)
                return false;
            _blocks.Add(new PackedBlock((int)run.FirstChecksum, run.Pages, run.FileOffset, (int)run.StoredBytes));
            return true;
        }

        /// <returns>Null where there are none.</returns>
        /// <exception cref="InvalidDataException">They are not all pages, or one is larger than it can be.</exception>
        public PackedBlocks? Build()
        {
            if (IsEmpty)
                return null;
            if (_pages != dataPages)
                throw new InvalidDataException($"its blocks have {_pages} pages, not {dataPages}");
            foreach (var block in _blocks)
            {
                if (block.StoredBytes > SegmentFormat.MaxBlockBytes(block.Pages))
                    throw new InvalidDataException($"its block at byte {block.FileOffset} is larger than its {block.Pages} pages can be");
            }

            return new PackedBlocks([.. _blocks]);
        }
    }
}
