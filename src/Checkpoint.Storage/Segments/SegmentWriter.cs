using System.Buffers;
using System.Runtime.InteropServices;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// Writes one segment file from front to back. Pages go from the caller's memory to the kernel without a copy between; they
/// are taken in pieces that fit a processor's cache, so that the checksum and the kernel read memory once. Where they are to be
/// compressed they go through one block of memory, whatever there is to write.
/// </summary>
internal sealed class SegmentWriter(ISegmentFile file, PageEncoding encoding, IProgress<long>? progress, CancellationToken cancellationToken) : IDisposable
{
    private const int PieceBytes = 1 << 20;

    /// <summary>Many scattered pages go out by one pwritev; the kernel takes 1024 pieces at most.</summary>
    private const int MaxGathered = 512;
    private const ulong MaxRunBytes = 1UL << 30;

    private readonly SegmentIndexBuilder _index = new();
    private readonly List<ReadOnlyMemory<byte>> _gathered = new(MaxGathered);
    private BlockPacker? _packer;
    private long _gatheredBytes;
    private long _written = SegmentFormat.DataOffset;
    private long _taken;

    /// <summary>Writes the whole file, without making it durable.</summary>
    /// <returns>The digest of the index, and the size of the file.</returns>
    public StoredPart Write(SegmentIdentity identity, IEnumerable<PageRun> runs)
    {
        var header = new byte[SegmentFormat.DataOffset];
        SegmentFormat.WriteHeader(header, identity);
        file.Write(header, 0);
        using var packer = encoding == PageEncoding.None ? null : new BlockPacker(file, _index);
        _packer = packer;

        var end = 0UL;
        foreach (var run in runs)
        {
            Check(run, end);
            end = run.GuestAddress + (ulong)run.Bytes.Length;
            for (var at = 0; at < run.Bytes.Length; at += PieceBytes)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Take(run.GuestAddress + (ulong)at, run.Bytes.Slice(at, Math.Min(PieceBytes, run.Bytes.Length - at)));
            }
        }

        Flush();
        _written = packer?.End() ?? _written;
        var index = _index.Build(header);
        var digest = Digest.Of(index.Span);
        var footer = new byte[SegmentFormat.FooterBytes];
        SegmentFormat.WriteFooter(footer, _written, index.Length, digest);
        file.Write([index, footer], _written);
        return new StoredPart(digest, _written + index.Length + footer.Length);
    }

    /// <summary>Gives back what the index was gathered in.</summary>
    public void Dispose() => _index.Dispose();

    private static void Check(PageRun run, ulong end)
    {
        var size = (ulong)run.Bytes.Length;
        if (run.GuestAddress % SegmentFormat.PageBytes != 0 || size % SegmentFormat.PageBytes != 0 || size > MaxRunBytes)
            throw new ArgumentException($"The run at 0x{run.GuestAddress:x} with {size} bytes is not made of whole pages, at most 1 GiB of them.");
        if (run.GuestAddress < end)
            throw new ArgumentException($"The run at 0x{run.GuestAddress:x} begins before the end of the one before it, 0x{end:x}.");
        if (run.GuestAddress > ulong.MaxValue - size)
            throw new ArgumentException($"The run at 0x{run.GuestAddress:x} ends beyond the address space.");
    }

    /// <summary>Splits a piece into stretches of zero pages and of data pages.</summary>
    private void Take(ulong address, ReadOnlyMemory<byte> piece)
    {
        var span = piece.Span;
        var start = 0;
        while (start < span.Length)
        {
            var zeros = IsZero(span.Slice(start, SegmentFormat.PageBytes));
            var end = start + SegmentFormat.PageBytes;
            while (end < span.Length && IsZero(span.Slice(end, SegmentFormat.PageBytes)) == zeros)
                end += SegmentFormat.PageBytes;
            if (zeros)
            {
                _index.AddZeros(address + (ulong)start, (end - start) / SegmentFormat.PageBytes);
            }
            else if (_packer is not null)
            {
                _packer.Add(address + (ulong)start, span[start..end]);
            }
            else
            {
                _index.AddData(address + (ulong)start, span[start..end]);
                Gather(piece[start..end]);
            }

            start = end;
        }

        _taken += piece.Length;
        progress?.Report(_taken);
    }

    private static bool IsZero(ReadOnlySpan<byte> page) => !page.ContainsAnyExcept((byte)0);

    private void Gather(ReadOnlyMemory<byte> pages)
    {
        // Scattered pages of the guest lie behind each other in the copy: fewer pieces cost the kernel and this process less.
        if (_gathered.Count > 0 && TryJoin(_gathered[^1], pages, out var joined))
            _gathered[^1] = joined;
        else
            _gathered.Add(pages);
        _gatheredBytes += pages.Length;
        if (_gatheredBytes >= PieceBytes || _gathered.Count == MaxGathered)
            Flush();
    }

    private static bool TryJoin(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second, out ReadOnlyMemory<byte> joined)
    {
        joined = default;
        if (!MemoryMarshal.TryGetMemoryManager<byte, MemoryManager<byte>>(first, out var owner, out var start, out var length)
            || !MemoryMarshal.TryGetMemoryManager<byte, MemoryManager<byte>>(second, out var other, out var next, out var more)
            || owner != other || next != start + length)
        {
            return false;
        }

        joined = owner.Memory.Slice(start, length + more);
        return true;
    }

    private void Flush()
    {
        if (_gathered.Count == 1)
            file.Write(_gathered[0].Span, _written);
        else if (_gathered.Count > 1)
            file.Write(_gathered, _written);
        _written += _gatheredBytes;
        _gathered.Clear();
        _gatheredBytes = 0;
    }
}
