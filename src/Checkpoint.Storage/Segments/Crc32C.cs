using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// CRC-32C (Castagnoli), by the processor's instruction where it has one (SSE4.2, ARMv8 CRC32). Pages are taken four at a time:
/// the instruction takes three cycles and one can start in each, so four independent sums run in the time of one. A restore in a
/// new process checks all memory at once: its loops are optimised from their first turn on.
/// </summary>
internal static class Crc32C
{
    private const uint Initial = 0xffff_ffff;

    /// <summary>The checksum of the bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var crc = Initial;
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words)
            crc = BitOperations.Crc32C(crc, word);
        foreach (var value in bytes[(words.Length * sizeof(ulong))..])
            crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    /// <summary>The checksum of each page.</summary>
    /// <param name="pages">Whole pages.</param>
    /// <param name="checksums">Takes one checksum a page.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OfPages(ReadOnlySpan<byte> pages, Span<uint> checksums)
    {
        const int Lanes = 4;
        var count = pages.Length / SegmentFormat.PageBytes;
        var page = 0;
        for (; page + Lanes <= count; page += Lanes)
            OfFour(pages.Slice(page * SegmentFormat.PageBytes, Lanes * SegmentFormat.PageBytes), checksums.Slice(page, Lanes));
        for (; page < count; page++)
            checksums[page] = Of(pages.Slice(page * SegmentFormat.PageBytes, SegmentFormat.PageBytes));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OfFour(ReadOnlySpan<byte> pages, Span<uint> checksums)
    {
        const int Words = SegmentFormat.PageBytes / sizeof(ulong);
        var words = MemoryMarshal.Cast<byte, ulong>(pages);
        var first = words[..Words];
        var second = words.Slice(Words, Words);
        var third = words.Slice(2 * Words, Words);
        var fourth = words.Slice(3 * Words, Words);
        uint a = Initial, b = Initial, c = Initial, d = Initial;
        for (var i = 0; i < Words; i++)
        {
            a = BitOperations.Crc32C(a, first[i]);
            b = BitOperations.Crc32C(b, second[i]);
            c = BitOperations.Crc32C(c, third[i]);
            d = BitOperations.Crc32C(d, fourth[i]);
        }

        (checksums[0], checksums[1], checksums[2], checksums[3]) = (~a, ~b, ~c, ~d);
    }
}
