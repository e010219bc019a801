using System.Buffers.Binary;
using System.Text;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Segments;

/// <summary>One run in a segment's index.</summary>
/// <param name="GuestAddress">Guest physical address of the first byte.</param>
/// <param name="FileOffset">Where its stored bytes begin; 0 for zeros.</param>
/// <param name="Pages">How many pages.</param>
/// <param name="StoredBytes">How many bytes of the file hold them; 0 for zeros.</param>
/// <param name="FirstChecksum">The place of its first page's checksum in the table; 0 for zeros.</param>
/// <param name="Content">Data or zeros.</param>
/// <param name="Encoding">How its bytes are stored; those of a packed run are its block's, which it may share with the runs beside it.</param>
internal readonly record struct IndexRun(
    ulong GuestAddress,
    long FileOffset,
    int Pages,
    uint StoredBytes,
    uint FirstChecksum,
    PageContent Content,
    PageEncoding Encoding);

/// <summary>
/// The bytes of a segment file, all little endian: a header of one page; the data pages, packed, in ascending order of guest
/// address, so that whatever range of guest memory is wanted is one range of the file; the index; the footer.
/// docs/FORMAT.md has the tables.
/// </summary>
internal static class SegmentFormat
{
    public const int PageBytes = 4096;
    public const uint Version = 1;

    /// <summary>Data begins after one page, so that every page is aligned for direct IO and mmap.</summary>
    public const int DataOffset = PageBytes;

    /// <summary>The part of the header that has content; the rest of its page is zero.</summary>
    public const int HeaderBytes = 256;
    public const int IndexHeadBytes = HeaderBytes + 32;
    public const int RunBytes = 32;
    public const int ChecksumBytes = 4;
    public const int FooterBytes = 96;

    /// <summary>1 GiB: a run's stored bytes fit into 32 bits, compressed or not.</summary>
    public const int MaxRunPages = 1 << 18;

    /// <summary>2 MiB: what has to be unpacked to read one page, and the memory that whoever reads or writes a block needs.</summary>
    public const int MaxBlockPages = 512;

    /// <summary>A block begins with the CRC-32C of what follows in it, so that a decoder is never given what was not written.</summary>
    public const int BlockChecksumBytes = 4;

    private const int NameOffset = 56;
    private const int NameBytes = 64;
    private const int FooterDigestOffset = 32;
    private const int FooterChecksumOffset = FooterBytes - 4;

    private static ReadOnlySpan<byte> HeaderMagic => "CKPT-SEG"u8;

    private static ReadOnlySpan<byte> FooterMagic => "CKPT-END"u8;

    public static void WriteHeader(Span<byte> header, SegmentIdentity identity)
    {
        header[..HeaderBytes].Clear();
        HeaderMagic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], PageBytes);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], identity.Number);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], identity.Parent ?? 0);
        BinaryPrimitives.WriteUInt128BigEndian(header[32..], identity.Id.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(header[48..], (uint)identity.Mode);
        BinaryPrimitives.WriteInt32LittleEndian(header[52..], identity.Vm.Length);
        Encoding.ASCII.GetBytes(identity.Vm, header.Slice(NameOffset, NameBytes));
    }

    public static void WriteRun(Span<byte> record, IndexRun run)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(record, run.GuestAddress);
        BinaryPrimitives.WriteInt64LittleEndian(record[8..], run.FileOffset);
        BinaryPrimitives.WriteInt32LittleEndian(record[16..], run.Pages);
        BinaryPrimitives.WriteUInt32LittleEndian(record[20..], run.StoredBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(record[24..], run.FirstChecksum);
        record[28] = (byte)run.Content;
        record[29] = (byte)run.Encoding;
        record[30..RunBytes].Clear();
    }

    public static IndexRun ReadRun(ReadOnlySpan<byte> record) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(record),
        BinaryPrimitives.ReadInt64LittleEndian(record[8..]),
        BinaryPrimitives.ReadInt32LittleEndian(record[16..]),
        BinaryPrimitives.ReadUInt32LittleEndian(record[20..]),
        BinaryPrimitives.ReadUInt32LittleEndian(record[24..]),
        (PageContent)record[28],
        (PageEncoding)record[29]);

    /// <summary>How many bytes a block may have in the file: memory that does not become smaller becomes a little larger.</summary>
    public static int MaxBlockBytes(int pages) => (pages * PageBytes) + PageBytes;

    /// <summary>The next multiple of 4096.</summary>
    public static long Align(long offset) => (offset + PageBytes - 1) / PageBytes * PageBytes;

    public static void WriteFooter(Span<byte> footer, long indexOffset, long indexBytes, Digest indexDigest)
    {
        footer.Clear();
        FooterMagic.CopyTo(footer);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[8..], Version);
        BinaryPrimitives.WriteInt64LittleEndian(footer[16..], indexOffset);
        BinaryPrimitives.WriteInt64LittleEndian(footer[24..], indexBytes);
        indexDigest.Bytes.CopyTo(footer[FooterDigestOffset..]);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[FooterChecksumOffset..], Crc32C.Of(footer[..FooterChecksumOffset]));
    }

    /// <summary>Reads a footer; where it is none, says why.</summary>
    public static string? ReadFooter(ReadOnlySpan<byte> footer, long fileBytes, out long indexOffset, out long indexBytes, out Digest indexDigest)
    {
        indexOffset = BinaryPrimitives.ReadInt64LittleEndian(footer[16..]);
        indexBytes = BinaryPrimitives.ReadInt64LittleEndian(footer[24..]);
        indexDigest = Digest.From(footer.Slice(FooterDigestOffset, Digest.SizeBytes));
        if (!footer.StartsWith(FooterMagic))
            return "its footer is missing";
        if (BinaryPrimitives.ReadUInt32LittleEndian(footer[FooterChecksumOffset..]) != Crc32C.Of(footer[..FooterChecksumOffset]))
            return "its footer does not have the checksum that it says";
        if (BinaryPrimitives.ReadUInt32LittleEndian(footer[8..]) is var version && version != Version)
            return $"it has version {version} and this program knows {Version}; use a newer program";
        if (indexOffset < DataOffset || indexOffset % PageBytes != 0 || indexBytes < IndexHeadBytes || indexBytes > Array.MaxLength
            || indexOffset != fileBytes - FooterBytes - indexBytes)
            return "its footer names an index that is not where it says";
        return null;
    }
}
