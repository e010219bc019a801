using System.Buffers.Binary;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

/// <summary>Segment files whose index, footer and event fit each other whatever the index says: as who writes them wrongly on purpose would.</summary>
internal static class CraftedSegment
{
    /// <summary>Changes the index of a segment, and makes the footer and the event fit.</summary>
    public static SegmentPart Alter(string path, SegmentPart part, Action<byte[]> alter)
    {
        var file = File.ReadAllBytes(path);
        var footer = file.AsSpan(file.Length - SegmentFormat.FooterBytes);
        var offset = (int)BinaryPrimitives.ReadInt64LittleEndian(footer[16..]);
        var index = file[offset..^SegmentFormat.FooterBytes];
        alter(index);
        index.CopyTo(file.AsSpan(offset));
        SegmentFormat.WriteFooter(footer, offset, index.Length, Digest.Of(index));
        File.WriteAllBytes(path, file);
        return part with { IndexDigest = Digest.Of(index) };
    }

    /// <summary>The place of a run in the index.</summary>
    public static Span<byte> RunOf(byte[] index, int run) => index.AsSpan(SegmentFormat.IndexHeadBytes + (run * SegmentFormat.RunBytes), SegmentFormat.RunBytes);

    /// <summary>Writes a segment of one block that holds what it is given in place of its pages, with the right checksum.</summary>
    public static SegmentPart Write(string path, SegmentIdentity identity, ReadOnlySpan<byte> pages, ReadOnlySpan<byte> packed)
    {
        var header = new byte[SegmentFormat.DataOffset];
        SegmentFormat.WriteHeader(header, identity);
        using var builder = new SegmentIndexBuilder();
        builder.BeginBlock();
        builder.AddPacked(0, pages);
        builder.EndBlock(SegmentFormat.DataOffset, SegmentFormat.BlockChecksumBytes + packed.Length);
        var index = builder.Build(header).ToArray();
        var offset = (int)SegmentFormat.Align(SegmentFormat.DataOffset + SegmentFormat.BlockChecksumBytes + packed.Length);
        var file = new byte[offset + index.Length + SegmentFormat.FooterBytes];
        header.CopyTo(file, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(SegmentFormat.DataOffset), Crc32C.Of(packed));
        packed.CopyTo(file.AsSpan(SegmentFormat.DataOffset + SegmentFormat.BlockChecksumBytes));
        index.CopyTo(file, offset);
        SegmentFormat.WriteFooter(file.AsSpan(offset + index.Length), offset, index.Length, Digest.Of(index));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, file);
        return new SegmentPart(Path.GetFileName(path), Digest.Of(index), file.Length);
    }
}
