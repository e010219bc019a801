using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// Reads and unpacks the blocks of a compressed segment, and keeps the last few: scattered pages share a block, and whoever
/// reads a machine's memory comes back to it. Calls may come from several threads at once.
/// </summary>
internal sealed class BlockReader(ISegmentFile file, PackedBlocks blocks)
{
    private const int MostKept = 4;

    // A block has its place by its number, so that threads at different ends of the memory seldom meet in one.
    private readonly Kept[] _kept = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 1, MostKept)).Select(_ => new Kept())];

    public PackedBlocks Blocks => blocks;

    /// <summary>Copies pages of one block out; their own checksums are the caller's to check.</summary>
    /// <param name="page">The first page's place among the data pages.</param>
    /// <param name="target">Takes the pages.</param>
    /// <exception cref="InvalidDataException">The block is not what was written; the message says in what.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public void Read(int page, Span<byte> target)
    {
        var number = blocks.Find(page);
        var block = blocks[number];
        var size = block.Pages * SegmentFormat.PageBytes;
        if (target.Length == size)
        {
            Unpack(block, target);
            return;
        }

        var kept = _kept[number % _kept.Length];
        lock (kept)
        {
            if (kept.Number != number)
            {
                kept.Number = null;
                if (kept.Pages.Length < size)
                    kept.Pages = GC.AllocateUninitializedArray<byte>(size);
                Unpack(block, kept.Pages.AsSpan(0, size));
                kept.Number = number;
            }

            kept.Pages.AsSpan((page - block.FirstPage) * SegmentFormat.PageBytes, target.Length).CopyTo(target);
        }
    }

    private void Unpack(PackedBlock block, Span<byte> pages)
    {
        var rented = ArrayPool<byte>.Shared.Rent(block.StoredBytes);
        try
        {
            var stored = rented.AsSpan(0, block.StoredBytes);
            if (!SegmentIndex.TryFill(file, stored, block.FileOffset))
                throw new InvalidDataException("lies beyond the end of the file");
            var packed = stored[SegmentFormat.BlockChecksumBytes..];
            if (BinaryPrimitives.ReadUInt32LittleEndian(stored) != Crc32C.Of(packed))
                throw new InvalidDataException("does not have its checksum");
            if (!BrotliDecoder.TryDecompress(packed, pages, out var size) || size != pages.Length)
                throw new InvalidDataException($"does not unpack to its {block.Pages} pages");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private sealed class Kept
    {
        public int? Number { get; set; }

        public byte[] Pages { get; set; } = [];
    }
}
