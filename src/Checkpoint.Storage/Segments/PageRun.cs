using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Segments;

/// <summary>Guest memory to store: pages that follow each other.</summary>
/// <param name="GuestAddress">Guest physical address of the first byte, a multiple of 4096.</param>
/// <param name="Bytes">The pages: a multiple of 4096 bytes, at most 1 GiB. They must not change until the segment is written.</param>
public readonly record struct PageRun(ulong GuestAddress, ReadOnlyMemory<byte> Bytes);

/// <summary>What a segment has of a page. The numbers are stored and never reused.</summary>
public enum PageContent
{
    /// <summary>Nothing: in an incremental segment the page is as the parent has it; in a full one it is no memory.</summary>
    NotHere = 0,

    /// <summary>Its bytes.</summary>
    Data = 1,

    /// <summary>That it is all zeros.</summary>
    Zero = 2,
}

/// <summary>How a segment has its data pages. The numbers are stored and never reused.</summary>
public enum PageEncoding
{
    /// <summary>As they are, each on a multiple of 4096 of the file, so that any of them can be read by itself.</summary>
    None = 0,

    /// <summary>In blocks of up to 512 pages, each compressed by Brotli and behind a checksum of its own: to read a page its block is read and unpacked.</summary>
    Brotli = 1,
}

/// <summary>Pages that follow each other and of which a segment has the same.</summary>
/// <param name="GuestAddress">Guest physical address of the first byte.</param>
/// <param name="Pages">How many pages of 4096 bytes.</param>
/// <param name="Content">What the segment has of them.</param>
public readonly record struct SegmentRun(ulong GuestAddress, long Pages, PageContent Content);

/// <summary>Whose memory a segment holds.</summary>
/// <param name="Vm">The machine.</param>
/// <param name="Number">The checkpoint's number.</param>
/// <param name="Id">The checkpoint's identity.</param>
/// <param name="Mode">Whether it is all memory or what changed since the parent.</param>
/// <param name="Parent">The number of the parent, where there is one.</param>
public sealed record SegmentIdentity(string Vm, long Number, CheckpointId Id, CheckpointMode Mode, long? Parent);
