using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// Writes data pages in compressed blocks, one behind the other. Pages that do not follow each other share a block, so that an
/// increment's scattered pages are compressed together. It holds one block, unpacked and packed.
/// </summary>
/// <remarks>
/// Brotli at its fastest: of what the framework has, it packs memory smallest in the least time (heap and libraries: to 30–42 % at
/// 430–580 MB/s, where Deflate at its fastest comes to 35–47 % at 270–380 MB/s). It unpacks more slowly (320–400 MB/s to 510–830), but checkpoints are many and restores few.
/// </remarks>
internal sealed class BlockPacker(ISegmentFile file, SegmentIndexBuilder index) : IDisposable
{
    private const int Quality = 0;
    private const int WindowBits = 21; // 2 MiB: a block.
    private const int BlockBytes = SegmentFormat.MaxBlockPages * SegmentFormat.PageBytes;

    private readonly byte[] _pages = ArrayPool<byte>.Shared.Rent(BlockBytes);
    private readonly byte[] _packed = ArrayPool<byte>.Shared.Rent(SegmentFormat.MaxBlockBytes(SegmentFormat.MaxBlockPages));
    private int _length;
    private long _written = SegmentFormat.DataOffset;

    /// <summary>Takes data pages that follow each other.</summary>
    public void Add(ulong address, ReadOnlySpan<byte> pages)
    {
        while (!pages.IsEmpty)
        {
            if (_length == 0)
                index.BeginBlock();
            var part = pages[..Math.Min(pages.Length, BlockBytes - _length)];
            index.AddPacked(address, part);
            part.CopyTo(_pages.AsSpan(_length));
            _length += part.Length;
            if (_length == BlockBytes)
                Flush();
            address += (ulong)part.Length;
            pages = pages[part.Length..];
        }
    }

    /// <summary>Writes the last block, and zeros up to where the index begins.</summary>
    /// <returns>Where that is.</returns>
    public long End()
    {
        Flush();
        var end = SegmentFormat.Align(_written);
        file.Write(new byte[end - _written], _written);
        return end;
    }

    /// <summary>Gives its memory back.</summary>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_pages);
        ArrayPool<byte>.Shared.Return(_packed);
    }

    private void Flush()
    {
        if (_length == 0)
            return;
        var most = SegmentFormat.MaxBlockBytes(_length / SegmentFormat.PageBytes);
        var packed = _packed.AsSpan(SegmentFormat.BlockChecksumBytes, most - SegmentFormat.BlockChecksumBytes);
        if (!BrotliEncoder.TryCompress(_pages.AsSpan(0, _length), packed, out var size, Quality, WindowBits))
            throw new UnreachableException($"{_length} bytes did not fit into {packed.Length} packed.");
        BinaryPrimitives.WriteUInt32LittleEndian(_packed, Crc32C.Of(packed[..size]));
        var stored = SegmentFormat.BlockChecksumBytes + size;
        file.Write(_packed.AsSpan(0, stored), _written);
        index.EndBlock(_written, stored);
        _written += stored;
        _length = 0;
    }
}
