using System.Buffers.Binary;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Segments;

/// <summary>The index of an open segment, kept as the bytes that it is stored in.</summary>
internal sealed class SegmentIndex
{
    private readonly byte[] _bytes;
    private readonly int _checksums;

    private SegmentIndex(byte[] bytes, int count, long dataPages, long zeroPages)
    {
        _bytes = bytes;
        _checksums = SegmentFormat.IndexHeadBytes + (count * SegmentFormat.RunBytes);
        Count = count;
        DataPages = dataPages;
        ZeroPages = zeroPages;
    }

    /// <summary>How many runs there are.</summary>
    public int Count { get; }

    public long DataPages { get; }

    public long ZeroPages { get; }

    /// <summary>The blocks that its data pages are packed in; null where they lie in the file as they are.</summary>
    public PackedBlocks? Blocks { get; private set; }

    public IndexRun this[int index] =>
        SegmentFormat.ReadRun(_bytes.AsSpan(SegmentFormat.IndexHeadBytes + (index * SegmentFormat.RunBytes), SegmentFormat.RunBytes));

    public uint Checksum(int page) =>
        BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(_checksums + (page * SegmentFormat.ChecksumBytes), SegmentFormat.ChecksumBytes));

    /// <summary>The run that holds an address, cut to begin there, or the gap at it.</summary>
    public SegmentRun Find(ulong address, out IndexRun run)
    {
        var (low, high) = (0, Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (this[middle].GuestAddress <= address)
                low = middle + 1;
            else
                high = middle;
        }

        run = low > 0 ? this[low - 1] : default;
        var skipped = (long)((address - run.GuestAddress) / SegmentFormat.PageBytes);
        if (low > 0 && skipped < run.Pages)
            return new SegmentRun(address, run.Pages - skipped, run.Content);
        var gapEnd = low < Count ? this[low].GuestAddress - address : ulong.MaxValue - address;
        return new SegmentRun(address, Math.Max(1, (long)(gapEnd / SegmentFormat.PageBytes)), PageContent.NotHere);
    }

    /// <summary>Fills the buffer from the file; false where the file ends before.</summary>
    public static bool TryFill(ISegmentFile file, Span<byte> buffer, long offset, bool pastCache = false)
    {
        while (!buffer.IsEmpty)
        {
            var read = pastCache ? file.ReadPastCache(buffer, offset) : file.Read(buffer, offset);
            if (read == 0)
                return false;
            buffer = buffer[read..];
            offset += read;
        }

        return true;
    }

    /// <summary>Reads footer, index and header, and checks each against the event.</summary>
    /// <exception cref="InvalidDataException">The file is not the one that the event names; the message says in what.</exception>
    public static SegmentIndex Load(ISegmentFile file, SegmentIdentity identity, SegmentPart part)
    {
        var size = file.Length;
        if (size != part.SizeBytes)
            throw new InvalidDataException($"it has {size} bytes, not {part.SizeBytes}");
        if (size < SegmentFormat.DataOffset + SegmentFormat.IndexHeadBytes + SegmentFormat.FooterBytes)
            throw new InvalidDataException($"it is too short, with {size} bytes");
        var footer = new byte[SegmentFormat.FooterBytes];
        Fill(file, footer, size - footer.Length);
        if (SegmentFormat.ReadFooter(footer, size, out var indexOffset, out var indexBytes, out var digest) is { } reason)
            throw new InvalidDataException(reason);
        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)indexBytes));
        Fill(file, bytes, indexOffset);
        if (digest != part.IndexDigest || Digest.Of(bytes) != part.IndexDigest)
            throw new InvalidDataException("its index does not have the digest that its event says");
        CheckHeader(file, bytes, identity);
        var index = Parse(bytes, indexOffset);
        if (index.Blocks is { } blocks)
            CheckPadding(file, blocks.DataEnd, indexOffset);
        return index;
    }

    private static void Fill(ISegmentFile file, byte[] buffer, long offset)
    {
        if (!TryFill(file, buffer, offset))
            throw new InvalidDataException("it became shorter while it was read");
    }

    private static void CheckHeader(ISegmentFile file, byte[] index, SegmentIdentity identity)
    {
        var header = new byte[SegmentFormat.DataOffset];
        Fill(file, header, 0);
        var expected = new byte[SegmentFormat.DataOffset];
        SegmentFormat.WriteHeader(expected, identity);
        if (!index.AsSpan(0, SegmentFormat.HeaderBytes).SequenceEqual(expected.AsSpan(0, SegmentFormat.HeaderBytes)))
            throw new InvalidDataException("it holds the memory of another checkpoint");
        if (!header.AsSpan().SequenceEqual(expected))
            throw new InvalidDataException("its header is not the one that its index says");
    }

    private static void CheckPadding(ISegmentFile file, long dataEnd, long indexOffset)
    {
        // An index that says its data ends elsewhere is not what was written, whatever is there.
        if (dataEnd > indexOffset || SegmentFormat.Align(dataEnd) != indexOffset)
            throw new InvalidDataException("its index does not begin where its last block ends");
        var padding = new byte[indexOffset - dataEnd];
        Fill(file, padding, dataEnd);
        if (padding.AsSpan().ContainsAnyExcept((byte)0))
            throw new InvalidDataException("there is something between its last block and its index");
    }

    /// <summary>
    /// Checks that every run lies in the file and the runs lie behind each other, so that no lookup needs to ask again. The digest
    /// says that the index is what was written, not that who wrote it was right.
    /// </summary>
    private static SegmentIndex Parse(byte[] bytes, long indexOffset)
    {
        var head = bytes.AsSpan(SegmentFormat.HeaderBytes);
        var runs = BinaryPrimitives.ReadUInt64LittleEndian(head);
        var dataPages = BinaryPrimitives.ReadUInt64LittleEndian(head[8..]);
        var zeroPages = BinaryPrimitives.ReadInt64LittleEndian(head[16..]);
        var rest = (ulong)(bytes.Length - SegmentFormat.IndexHeadBytes);
        if (runs > rest || dataPages > rest || (runs * SegmentFormat.RunBytes) + (dataPages * SegmentFormat.ChecksumBytes) != rest)
            throw new InvalidDataException("its index does not have the size that its counts say");
        var blocks = new PackedBlocks.Builder((long)dataPages, indexOffset);
        var index = new SegmentIndex(bytes, (int)runs, (long)dataPages, zeroPages);
        var end = 0UL;
        for (var i = 0; i < index.Count; i++)
        {
            var run = index[i];
            if (run.Encoding is not (PageEncoding.None or PageEncoding.Brotli))
                throw new InvalidDataException($"its run at 0x{run.GuestAddress:x} has an encoding that this program does not know; use a newer program");
            var size = (ulong)run.Pages * SegmentFormat.PageBytes;
            var inOrder = run.GuestAddress % SegmentFormat.PageBytes == 0 && run.GuestAddress >= end && run.GuestAddress <= ulong.MaxValue - size;
            var inFile = (run.Content, run.Encoding) switch
            {
                (PageContent.Zero, PageEncoding.None) => true,
                (PageContent.Data, PageEncoding.Brotli) => blocks.TryAdd(run),
                (PageContent.Data, PageEncoding.None) => blocks.IsEmpty && run.StoredBytes == size
                    && run.FileOffset == SegmentFormat.DataOffset + ((long)run.FirstChecksum * SegmentFormat.PageBytes)
                    && run.FirstChecksum + (ulong)run.Pages <= dataPages
                    && (ulong)run.FileOffset + size <= (ulong)indexOffset,
                _ => false,
            };
            if (run.Pages is < 1 or > SegmentFormat.MaxRunPages || !inOrder || !inFile)
                throw new InvalidDataException($"its index has an impossible run at 0x{run.GuestAddress:x}");
            end = run.GuestAddress + size;
        }

        index.Blocks = blocks.Build();
        return index;
    }
}
