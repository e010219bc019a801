using System.Buffers.Binary;
using System.IO.Compression;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

/// <summary>Compressed segments that are not what was written: named, whatever they say of themselves.</summary>
public sealed class CompressedDamageTests : IDisposable
{
    private const int Page = 4096;

    private static readonly SegmentIdentity s_identity = new("web", 12, new CheckpointId(0xabc), CheckpointMode.Full, null);

    private readonly TemporaryFolder _folder = new();
    private readonly SegmentStore _store;

    public CompressedDamageTests() => _store = new SegmentStore(_folder.File("x.d"));

    public void Dispose() => _folder.Dispose();

    private string Path => _folder.File($"x.d/web/{SegmentStore.NameOf(s_identity)}");

    [Fact]
    public void A_flipped_bit_anywhere_in_the_file_is_found()
    {
        var part = Write([new PageRun(0, Pages(2)), new PageRun(8 * Page, new byte[Page]), new PageRun(16 * Page, Pages(1))]);
        using var file = File.OpenHandle(Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var original = File.ReadAllBytes(Path);
        for (var at = 0; at < original.Length; at += at is >= 256 and < Page - 64 ? 61 : 1)
        {
            RandomAccess.Write(file, [(byte)(original[at] ^ (1 << (at % 8)))], at);
            Assert.True(Damages(part).Count > 0, $"A flipped bit in byte {at} was not found.");
            RandomAccess.Write(file, [original[at]], at);
        }

        Assert.Empty(Damages(part));
    }

    [Fact]
    public void A_truncated_or_lengthened_file_is_found()
    {
        var part = Write([new PageRun(0, Pages(300))]);
        var original = File.ReadAllBytes(Path);
        for (var size = 0; size < original.Length; size += 97)
        {
            File.WriteAllBytes(Path, original[..size]);
            Assert.Throws<IntegrityException>(() => Open(part));
        }

        File.WriteAllBytes(Path, [.. original, 0]);
        Assert.Throws<IntegrityException>(() => Open(part));
    }

    [Fact]
    public void A_lost_block_is_named_once_and_the_other_blocks_still_read()
    {
        var part = Write(Enumerable.Range(0, 1200).Select(i => new PageRun((ulong)(2 * i) * Page, Pages(1, i))));
        using (var file = File.OpenHandle(Path, FileMode.Open, FileAccess.ReadWrite))
            RandomAccess.Write(file, [77], Page + 50);
        var damage = Assert.Single(Damages(part));
        Assert.Contains("guest address 0x0 is lost: the block of 512 pages that it is packed in, at byte 4096, does not have its checksum", damage.Message, StringComparison.Ordinal);
        Assert.Equal((12, "segment " + part.Name), (damage.Checkpoint, damage.Part));
        using var reader = Open(part);
        Assert.Throws<IntegrityException>(() => reader.Read(2 * Page, new byte[Page]));
        Assert.Equal(1, reader.Read(512 * 2 * Page, new byte[Page]));
    }

    [Fact]
    public void A_block_that_unpacks_to_other_pages_is_found_by_their_checksums()
    {
        var pages = Pages(3);
        var other = pages.ToArray();
        other[Page + 7] ^= 4;
        var damage = Assert.Single(Damages(Craft(pages, Pack(other))));
        Assert.Contains("guest address 0x1000 does not have its checksum", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_block_that_unpacks_to_more_or_less_or_to_nothing_is_refused_in_the_memory_of_a_block()
    {
        var pages = Pages(3);
        foreach (var packed in new[] { Pack(pages.AsSpan(0, Page)), Pack([.. pages, .. Pages(1)]), Pack(new byte[8 << 20]), new byte[100], [] })
        {
            if (packed.Length == 0)
            {
                Assert.Throws<IntegrityException>(() => Open(Craft(pages, packed)));
                continue;
            }

            var part = Craft(pages, packed);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var damage = Assert.Single(Damages(part));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
            Assert.True(damage.Message.Contains("does not unpack to its 3 pages", StringComparison.Ordinal), damage.Message);
        }
    }

    [Fact]
    public void A_run_of_an_unknown_encoding_asks_for_a_newer_program()
    {
        var part = CraftedSegment.Alter(Path, Write([new PageRun(0, Pages(2))]), index => CraftedSegment.RunOf(index, 0)[29] = 2);
        Assert.Contains("use a newer program", Assert.Throws<IntegrityException>(() => Open(part)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(16, 262144)] // Its pages: 1 GiB.
    [InlineData(16, 513)]
    [InlineData(16, -1)]
    [InlineData(16, 0)]
    [InlineData(20, -1)] // Its bytes in the file: 4 GiB.
    [InlineData(20, 0x7fff_ffff)]
    [InlineData(20, 4)]
    [InlineData(20, 0)]
    [InlineData(8, 0)] // Where they begin.
    [InlineData(8, 8192)]
    [InlineData(8, -1)]
    [InlineData(24, 1)] // Its first checksum.
    [InlineData(24, -1)]
    public void A_run_that_claims_what_it_cannot_have_is_refused_in_little_memory(int field, int value)
    {
        var part = CraftedSegment.Alter(
            Path, Write([new PageRun(0, Pages(2))]), index => BinaryPrimitives.WriteInt32LittleEndian(CraftedSegment.RunOf(index, 0)[field..], value));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<IntegrityException>(() => Open(part));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void An_index_altered_at_random_opens_or_is_refused_and_reads_or_is_named(int seed)
    {
        var random = new Random(seed);
        var written = Write(Enumerable.Range(0, 40).Select(i => new PageRun((ulong)(i + (i / 4)) * Page, i % 7 == 0 ? new byte[Page] : Pages(1, i))));
        var original = File.ReadAllBytes(Path);
        for (var i = 0; i < 500; i++)
        {
            File.WriteAllBytes(Path, original);
            var part = CraftedSegment.Alter(Path, written, index =>
            {
                for (var change = random.Next(1, 4); change > 0; change--)
                {
                    // Mostly the runs: the checksums behind them can be of anything.
                    var at = SegmentFormat.HeaderBytes + random.Next(Math.Min(index.Length - SegmentFormat.HeaderBytes, 1200));
                    index[at] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)(index[at] ^ (1 << random.Next(8)));
                }
            });
            var before = GC.GetAllocatedBytesForCurrentThread();
            Damages(part); // Anything but IntegrityException goes through.
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
        }
    }

    [Fact]
    public void A_block_altered_at_random_with_its_checksum_made_right_is_named()
    {
        var pages = Pages(20);
        var packed = Pack(pages);
        var random = new Random(9);
        for (var i = 0; i < 500; i++)
        {
            var altered = packed.ToArray();
            for (var change = random.Next(1, 5); change > 0; change--)
                altered[random.Next(altered.Length)] ^= (byte)random.Next(1, 256);
            if (random.Next(4) == 0)
                altered = altered[..random.Next(1, altered.Length)];
            using var reader = Open(Craft(pages, altered));
            var read = new byte[pages.Length];
            try
            {
                reader.Read(0, read);
                Assert.True(pages.AsSpan().SequenceEqual(read)); // A bit that means nothing to the decoder.
            }
            catch (IntegrityException exception)
            {
                Assert.Equal(12, exception.Checkpoint);
            }
        }
    }

    /// <summary>Pages that compress well and differ.</summary>
    private static byte[] Pages(int count, int seed = 1)
    {
        var bytes = new byte[count * Page];
        for (var i = 0; i < bytes.Length; i += 8)
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i), (i / 64) + (seed * 7919) + 1);
        return bytes;
    }

    private static byte[] Pack(ReadOnlySpan<byte> pages)
    {
        var packed = new byte[BrotliEncoder.GetMaxCompressedLength(pages.Length)];
        Assert.True(BrotliEncoder.TryCompress(pages, packed, out var size, 1, 21));
        return packed[..size];
    }

    private static MachineEvent.CheckpointCommitted Event(SegmentPart part) =>
        Samples.Committed(12, default, part) with { Id = s_identity.Id, Mode = s_identity.Mode, Parent = s_identity.Parent };

    private SegmentPart Write(IEnumerable<PageRun> runs) => _store.Write(s_identity, runs, PageEncoding.Brotli);

    private SegmentPart Craft(ReadOnlySpan<byte> pages, ReadOnlySpan<byte> packed) => CraftedSegment.Write(Path, s_identity, pages, packed);

    private SegmentReader Open(SegmentPart part) => _store.Open("web", Event(part));

    private List<IntegrityException> Damages(SegmentPart part)
    {
        var damages = new List<IntegrityException>();
        try
        {
            using var reader = Open(part);
            reader.Verify(damages.Add, null, default);
        }
        catch (IntegrityException exception)
        {
            damages.Add(exception);
        }

        return damages;
    }
}
