using System.Text;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

/// <summary>Segments whose pages are compressed: the same memory in fewer bytes.</summary>
public sealed class CompressedSegmentTests : IDisposable
{
    private const int Page = 4096;

    private static readonly SegmentIdentity s_identity = new("web", 12, new CheckpointId(0xabc), CheckpointMode.Incremental, 7);

    private readonly TemporaryFolder _folder = new();
    private readonly SegmentStore _store;

    public CompressedSegmentTests() => _store = new SegmentStore(_folder.File("x.d"));

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 9)]
    [InlineData(2, 300)]
    [InlineData(3, 3000)]
    public void Memory_of_any_shape_comes_back_as_it_was_written(int seed, int longestRun)
    {
        const int Pages = 4000;
        var random = new Random(seed);
        var memory = new byte[Pages * Page];
        var held = new bool[Pages];
        var runs = new List<PageRun>();
        for (var page = random.Next(3); page < Pages - 10; page += random.Next(1, 4))
        {
            var count = Math.Min(random.Next(1, longestRun), Pages - page);
            for (var i = page; i < page + count; i++)
            {
                held[i] = true;
                FillPage(random, memory.AsSpan(i * Page, Page));
            }

            runs.Add(new PageRun((ulong)page * Page, memory.AsMemory(page * Page, count * Page)));
            page += count;
        }

        using var reader = Open(Write(runs));
        Assert.True(reader.IsCompressed);
        var read = new byte[memory.Length];
        read.AsSpan().Fill(0xee);
        Assert.Equal(held.Count(one => one), reader.Read(0, read));
        for (var i = 0; i < held.Length; i++)
        {
            var page = memory.AsSpan(i * Page, Page);
            var expected = !held[i] ? PageContent.NotHere : page.ContainsAnyExcept((byte)0) ? PageContent.Data : PageContent.Zero;
            Assert.Equal(expected, reader.Find((ulong)i * Page).Content);
            Assert.True(held[i] ? page.SequenceEqual(read.AsSpan(i * Page, Page)) : !read.AsSpan(i * Page, Page).ContainsAnyExcept((byte)0xee));
        }

        Assert.Equal(reader.DataPages + reader.ZeroPages, reader.Runs.Sum(run => run.Pages));
        var damages = 0;
        reader.Verify(_ => damages++, null, default);
        Assert.Equal(0, damages);
    }

    [Fact]
    public void Pages_are_read_from_many_threads_in_any_order()
    {
        const int Pages = 5000;
        var memory = new byte[Pages * Page];
        var random = new Random(5);
        for (var i = 0; i < Pages; i++)
            FillPage(random, memory.AsSpan(i * Page, Page));
        // Every third page, so that a block has many runs.
        using var reader = Open(Write(Enumerable.Range(0, Pages / 3).Select(i => new PageRun((ulong)(3 * i) * Page, memory.AsMemory(3 * i * Page, Page)))));
        Parallel.For(0, 8, thread =>
        {
            var here = new Random(thread);
            var page = new byte[Page];
            for (var i = 0; i < 50; i++)
            {
                var at = 3 * here.Next(Pages / 3);
                Assert.Equal(1, reader.Read((ulong)at * Page, page));
                Assert.True(page.AsSpan().SequenceEqual(memory.AsSpan(at * Page, Page)));
            }
        });
    }

    [Fact]
    public void Memory_that_repeats_itself_becomes_small_and_memory_that_does_not_hardly_larger()
    {
        var text = Text(4 << 20);
        Assert.InRange(Write([new PageRun(0, text)]).SizeBytes, 1, text.Length / 4);
        var noise = Noise(4 << 20);
        Assert.InRange(_store.Write(s_identity with { Number = 13 }, [new PageRun(0, noise)], PageEncoding.Brotli).SizeBytes, noise.Length, noise.Length * 101L / 100);
    }

    [Fact]
    public void Whatever_there_is_to_write_it_takes_a_block_of_memory()
    {
        var text = Text(1 << 20);
        Write([new PageRun(0, text)]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var part = _store.Write(s_identity with { Number = 13 }, Enumerable.Range(0, 64).Select(i => new PageRun((ulong)i << 20, text)), PageEncoding.Brotli);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
        Assert.InRange(part.SizeBytes, 1, 16 << 20);
    }

    [Fact]
    public void A_segment_without_data_is_the_same_compressed_or_not()
    {
        using var reader = Open(Write([new PageRun(0, new byte[3 * Page])]));
        Assert.False(reader.IsCompressed);
        Assert.Equal([new SegmentRun(0, 3, PageContent.Zero)], reader.Runs);
    }

    [Fact]
    public async Task A_chain_of_compressed_and_plain_segments_is_one_memory()
    {
        const int Pages = 1500;
        var random = new Random(11);
        var memory = new byte[Pages * Page];
        var history = MachineHistory.Empty.Evolve(Samples.Registered("web"), new JournalHead(1, default));
        MachineEvent.CheckpointCommitted? last = null;
        for (var number = 1; number <= 8; number++)
        {
            var identity = new SegmentIdentity("web", number, new CheckpointId((UInt128)number), number == 1 ? CheckpointMode.Full : CheckpointMode.Incremental, last?.Number);
            var changed = Enumerable.Range(0, Pages).Where(_ => number == 1 || random.Next(5) == 0).ToList();
            foreach (var page in changed)
                FillPage(random, memory.AsSpan(page * Page, Page));
            var runs = changed.Select(page => new PageRun((ulong)page * Page, memory.AsMemory(page * Page, Page)));
            var part = _store.Write(identity, runs, number % 2 == 0 ? PageEncoding.Brotli : PageEncoding.None);
            last = Event(identity, part);
            history = history.Evolve(last, new JournalHead(number + 1, default));
        }

        using var stored = StoredMemory.Open(_store, "web", history, last!);
        Assert.False(stored.CanReadLazily);
        var read = new byte[memory.Length];
        await Parallel.ForAsync(0, 15, (piece, _) =>
        {
            stored.Read((ulong)piece * 100 * Page, read.AsSpan(piece * 100 * Page, 100 * Page));
            return ValueTask.CompletedTask;
        });
        Assert.True(memory.AsSpan().SequenceEqual(read));
        using var first = StoredMemory.Open(_store, "web", history, history.Live[1]);
        Assert.True(first.CanReadLazily);
    }

    private static void FillPage(Random random, Span<byte> page)
    {
        page.Clear();
        switch (random.Next(4))
        {
            case 0:
                random.NextBytes(page);
                break;
            case 1:
                page.Fill((byte)random.Next(1, 256));
                break;
            case 2:
                Text(Page).CopyTo(page);
                page[random.Next(Page)] ^= 1;
                break;
            default:
                break; // Zeros.
        }
    }

    private static byte[] Text(int size) => Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, (size / 16) + 1).Select(i => $"line {i:D10}\n")))[..size];

    private static byte[] Noise(int size)
    {
        var bytes = new byte[size];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    private static MachineEvent.CheckpointCommitted Event(SegmentIdentity identity, SegmentPart part) =>
        Samples.Committed(identity.Number, default, part) with { Id = identity.Id, Mode = identity.Mode, Parent = identity.Parent };

    private SegmentPart Write(IEnumerable<PageRun> runs) => _store.Write(s_identity, runs, PageEncoding.Brotli);

    private SegmentReader Open(SegmentPart part) => _store.Open("web", Event(s_identity, part));
}
