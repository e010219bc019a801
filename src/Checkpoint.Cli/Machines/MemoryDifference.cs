using System.Collections.Immutable;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Cli.Machines;

/// <summary>Finds the pages in which two stored memories differ. A page that only one of the machines has differs as well.</summary>
internal sealed class MemoryDifference(
    (StoredMemory Memory, ImmutableArray<MemoryRegion> Regions) left,
    (StoredMemory Memory, ImmutableArray<MemoryRegion> Regions) right,
    Action<ulong, long> found)
{
    private const ulong PageBytes = MemoryRegion.PageBytes;
    private const int PieceBytes = 1 << 20;

    private readonly byte[] _left = new byte[PieceBytes];
    private readonly byte[] _right = new byte[PieceBytes];
    private ulong _rangeStart;
    private long _rangePages;

    /// <summary>Compares all pages, and tells of each range that differs as soon as its end is known.</summary>
    /// <returns>How many pages differ.</returns>
    public long Compare(CancellationToken cancellationToken)
    {
        var pages = 0L;
        ulong[] edges = [.. left.Regions.Concat(right.Regions).SelectMany(region => new[] { region.GuestAddress, region.GuestAddress + region.SizeBytes }).Distinct().Order()];
        // Between two edges a machine has either all of the memory or none of it.
        foreach (var (start, end) in edges.Zip(edges.Skip(1)))
        {
            var (isLeft, isRight) = (Has(left.Regions, start), Has(right.Regions, start));
            if (isLeft && isRight)
                pages += Compare(start, end, cancellationToken);
            else if (isLeft || isRight)
                pages += Add(start, (long)((end - start) / PageBytes));
        }

        Flush();
        return pages;
    }

    private static bool Has(ImmutableArray<MemoryRegion> regions, ulong address) =>
        regions.Any(region => address >= region.GuestAddress && address - region.GuestAddress < region.SizeBytes);

    private long Compare(ulong start, ulong end, CancellationToken cancellationToken)
    {
        var pages = 0L;
        for (var address = start; address < end; address += PieceBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var length = (int)Math.Min(PieceBytes, end - address);
            var here = _left.AsSpan(0, length);
            var there = _right.AsSpan(0, length);
            left.Memory.Read(address, here);
            right.Memory.Read(address, there);
            if (here.SequenceEqual(there))
                continue;
            for (var offset = 0; offset < length; offset += (int)PageBytes)
            {
                if (!here.Slice(offset, (int)PageBytes).SequenceEqual(there.Slice(offset, (int)PageBytes)))
                    pages += Add(address + (ulong)offset, 1);
            }
        }

        return pages;
    }

    private long Add(ulong address, long pages)
    {
        if (_rangePages > 0 && address != _rangeStart + ((ulong)_rangePages * PageBytes))
            Flush();
        if (_rangePages == 0)
            _rangeStart = address;
        _rangePages += pages;
        return pages;
    }

    private void Flush()
    {
        if (_rangePages > 0)
            found(_rangeStart, _rangePages);
        _rangePages = 0;
    }
}
