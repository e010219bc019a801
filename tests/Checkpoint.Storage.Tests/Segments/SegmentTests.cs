using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal.InMemory;
using Checkpoint.Storage.Locks;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

public sealed class SegmentTests : IDisposable
{
    private const int Page = 4096;

    private static readonly SegmentIdentity _identity = new("web", 12, new CheckpointId(0xabc), CheckpointMode.Incremental, 7);

    private readonly TemporaryFolder _folder = new();
    private readonly SegmentStore _store;

    public SegmentTests() => _store = new SegmentStore(_folder.File("x.d"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Scattered_pages_that_lie_behind_each_other_in_the_copy_are_written_as_one_piece_and_come_back_as_they_were()
    {
        var files = new CountedFiles();
        var store = new SegmentStore(_folder.File("counted.d"), files);
        var copy = new OwnMemory(64 * Page);
        new Random(5).NextBytes(copy.GetSpan());
        // Page 40 of the copy is not there: what lies before and behind it are two pieces.
        var runs = Enumerable.Range(0, 64).Where(page => page != 40).Select(page => new PageRun((ulong)page * 3 * Page, copy.Memory.Slice(page * Page, Page)));
        using var reader = store.Open("web", Event(_identity, store.Write(_identity, runs)));
        Assert.Equal([2], files.Pieces);
        var read = new byte[Page];
        for (var page = 0; page < 64; page++)
        {
            Assert.Equal(page == 40 ? 0 : 1, reader.Read((ulong)page * 3 * Page, read));
            Assert.True(page == 40 || copy.GetSpan().Slice(page * Page, Page).SequenceEqual(read));
        }
    }

    [Fact]
    public void Writing_a_segment_like_the_one_before_leaves_little_to_be_collected()
    {
        const int Pages = 16384;
        var copy = new OwnMemory(1024 * Page);
        new Random(6).NextBytes(copy.GetSpan());
        PageRun[] runs = [.. Enumerable.Range(0, Pages).Select(page => new PageRun((ulong)page * 2 * Page, copy.Memory.Slice(page % 1024 * Page, Page)))];
        var least = long.MaxValue;
        for (var number = 1; number <= 4; number++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            _store.Write(_identity with { Id = new CheckpointId((ulong)number) }, runs);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        // Less than the index, which has 32 bytes for each run and 4 for each page.
        Assert.InRange(least, 0, Pages * 36);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Memory_of_any_shape_comes_back_as_it_was_written(int seed)
    {
        var random = new Random(seed);
        var memory = new byte[700 * Page];
        var held = new bool[700];
        var runs = new List<PageRun>();
        for (var page = random.Next(3); page < 690; page += random.Next(1, 4))
        {
            var count = random.Next(1, seed == 4 ? 600 : 9);
            count = Math.Min(count, 700 - page);
            for (var i = page; i < page + count; i++)
            {
                held[i] = true;
                if (random.Next(3) > 0)
                    random.NextBytes(memory.AsSpan(i * Page, Page));
            }

            runs.Add(new PageRun((ulong)page * Page, memory.AsMemory(page * Page, count * Page)));
            page += count;
        }

        using var reader = Open(_store.Write(_identity, runs));
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

        Assert.Equal(held.Count(one => one), reader.Runs.Sum(run => run.Pages));
        Assert.Equal(reader.DataPages + reader.ZeroPages, reader.Runs.Sum(run => run.Pages));
    }

    [Fact]
    public void Zero_pages_are_recorded_and_not_stored()
    {
        var part = _store.Write(_identity, [new PageRun(0x10_0000, new byte[1000 * Page])]);
        Assert.InRange(part.SizeBytes, 1, 2 * Page);
        using var reader = Open(part);
        Assert.Equal([new SegmentRun(0x10_0000, 1000, PageContent.Zero)], reader.Runs);
        Assert.Equal(new SegmentRun(0x10_0000 - Page, 1, PageContent.NotHere), reader.Find(0x10_0000 - Page));
        Assert.Equal(new SegmentRun(0x10_0000 + (5 * Page), 995, PageContent.Zero), reader.Find(0x10_0000 + (5 * Page)));
        Assert.Equal(PageContent.NotHere, reader.Find(0x10_0000 + (1000 * Page)).Content);
    }

    [Fact]
    public void Runs_that_touch_become_one_and_addresses_may_be_as_high_as_they_get()
    {
        var top = ulong.MaxValue - (3 * Page) + 1;
        var part = _store.Write(_identity, [new PageRun(top - Page, Filled(1)), new PageRun(top, Filled(1))]);
        using var reader = Open(part);
        Assert.Equal([new SegmentRun(top - Page, 2, PageContent.Data)], reader.Runs);
        Assert.Equal(PageContent.NotHere, reader.Find(top + Page).Content);
        Assert.Equal(PageContent.NotHere, reader.Find(top + (2 * Page)).Content);
    }

    [Fact]
    public void A_segment_without_pages_is_a_segment()
    {
        using var reader = Open(_store.Write(_identity, []));
        Assert.Empty(reader.Runs);
        Assert.Equal(PageContent.NotHere, reader.Find(0).Content);
        Assert.Equal(_identity, reader.Identity);
    }

    [Fact]
    public void A_guest_range_is_one_range_of_the_file_and_aligned()
    {
        var part = _store.Write(_identity, [new PageRun(0x20_0000, Filled(3)), new PageRun(0x40_0000, Filled(2, 9))]);
        var bytes = File.ReadAllBytes(_folder.File($"x.d/web/{part.Name}"));
        Assert.True(bytes.AsSpan(Page, 3 * Page).SequenceEqual(Filled(3)));
        Assert.True(bytes.AsSpan(4 * Page, 2 * Page).SequenceEqual(Filled(2, 9)));
        Assert.Equal(part.SizeBytes, bytes.Length);
    }

    [Fact]
    public void Only_the_owner_can_open_the_files_and_names_hold_number_and_identity()
    {
        var part = _store.Write(_identity, [new PageRun(0, Filled(1))]);
        Assert.Equal("000000000012-00000000000000000000000000000abc.seg", part.Name);
        Assert.Equal([part.Name], _store.List("web"));
        Assert.Equal(["web"], _store.ListMachines());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder.File($"x.d/web/{part.Name}")));
        foreach (var folder in new[] { "x.d", "x.d/web" })
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder.File(folder)));
    }

    [Fact]
    public void A_name_that_exists_is_never_overwritten()
    {
        var part = _store.Write(_identity, [new PageRun(0, Filled(1))]);
        Assert.Throws<StoreException>(() => _store.Write(_identity, [new PageRun(0, Filled(2))]));
        using var reader = Open(part);
        Assert.Equal(1, reader.DataPages);
    }

    [Fact]
    public void Cancelled_and_failed_writes_leave_nothing()
    {
        Assert.ThrowsAny<OperationCanceledException>(() => _store.Write(_identity, [new PageRun(0, Filled(1))], cancellationToken: new CancellationToken(canceled: true)));
        Assert.Throws<InvalidOperationException>(() => _store.Write(_identity, Broken()));
        Assert.Empty(Directory.EnumerateFiles(_folder.File("x.d/web")));

        static IEnumerable<PageRun> Broken()
        {
            yield return new PageRun(0, Filled(1));
            throw new InvalidOperationException();
        }
    }

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(0, 100)]
    [InlineData(0xffff_ffff_ffff_f000, 8192)]
    public void A_run_that_is_not_whole_pages_in_the_address_space_is_refused(ulong address, int size) =>
        Assert.Throws<ArgumentException>(() => _store.Write(_identity, [new PageRun(address, new byte[size])]));

    [Fact]
    public void Runs_out_of_order_are_refused() =>
        Assert.Throws<ArgumentException>(() => _store.Write(_identity, [new PageRun(Page, Filled(2)), new PageRun(2 * Page, Filled(1))]));

    [Fact]
    public void A_flipped_bit_anywhere_in_the_file_is_found()
    {
        var part = _store.Write(_identity, [new PageRun(0, Filled(2)), new PageRun(8 * Page, new byte[Page]), new PageRun(16 * Page, Filled(1))]);
        var path = _folder.File($"x.d/web/{part.Name}");
        var index = (int)(4 * Page);
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var original = File.ReadAllBytes(path);
        for (var at = 0; at < original.Length; at += at is >= 256 and < 4 * Page - 64 && at < index - 64 ? 61 : 1)
        {
            RandomAccess.Write(file, [(byte)(original[at] ^ (1 << (at % 8)))], at);
            Assert.True(Damages(part) > 0, $"A flipped bit in byte {at} was not found.");
            RandomAccess.Write(file, [original[at]], at);
        }

        Assert.Equal(0, Damages(part));
    }

    [Fact]
    public void A_truncated_lengthened_or_missing_file_is_found()
    {
        var part = _store.Write(_identity, [new PageRun(0, Filled(2))]);
        var path = _folder.File($"x.d/web/{part.Name}");
        var original = File.ReadAllBytes(path);
        foreach (var size in new[] { 0, 1, Page, original.Length - 1 })
        {
            File.WriteAllBytes(path, original[..size]);
            Assert.Throws<IntegrityException>(() => Open(part));
        }

        File.WriteAllBytes(path, [.. original, 0]);
        Assert.Throws<IntegrityException>(() => Open(part));
        File.Delete(path);
        Assert.Contains("missing", Assert.Throws<IntegrityException>(() => Open(part)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_page_is_named_by_its_guest_address_and_the_others_still_read()
    {
        var part = _store.Write(_identity, [new PageRun(0x7000_0000, Filled(300))]);
        using (var file = File.OpenHandle(_folder.File($"x.d/web/{part.Name}"), FileMode.Open, FileAccess.ReadWrite))
            RandomAccess.Write(file, [77], (256 * Page) + 5);
        using var reader = Open(part);
        var exception = Assert.Throws<IntegrityException>(() => reader.Read(0x7000_0000, new byte[300 * Page]));
        Assert.Contains("0x700ff000", exception.Message, StringComparison.Ordinal);
        Assert.Equal(12, exception.Checkpoint);
        var damages = new List<IntegrityException>();
        reader.Verify(damages.Add, null, default);
        Assert.Single(damages);
        Assert.Equal(255, reader.Read(0x7000_0000, new byte[255 * Page]));
    }

    [Fact]
    public void The_segment_of_another_checkpoint_is_not_taken_for_this_one()
    {
        var part = _store.Write(_identity, [new PageRun(0, Filled(1))]);
        var other = _identity with { Number = 13 };
        File.Copy(_folder.File($"x.d/web/{part.Name}"), _folder.File($"x.d/web/{SegmentStore.NameOf(other)}"));
        Assert.Throws<IntegrityException>(() => _store.Open("web", Event(other, part with { Name = SegmentStore.NameOf(other) })));
        Assert.Throws<IntegrityException>(() => _store.Open("web", Event(_identity, part with { Name = "../../etc/passwd" })));
    }

    [Fact]
    public void A_sweep_keeps_what_lives_and_removes_what_nobody_names()
    {
        var live = _store.Write(_identity with { Number = 1, Parent = null, Mode = CheckpointMode.Full }, [new PageRun(0, Filled(1))]);
        var orphan = _store.Write(_identity, [new PageRun(0, Filled(1))]);
        File.WriteAllText(_folder.File("x.d/web/000000000013-0.seg.tmp"), "unfinished");
        File.WriteAllText(_folder.File("x.d/web/README"), "not ours");
        var history = MachineHistory.Empty.Evolve(Samples.Registered("web"), new JournalHead(1, default)).Evolve(Samples.Committed(1, default, live), new JournalHead(2, default));
        var held = InMemoryMachineLock.Acquire(new InMemoryDatabase(), "web");
        Assert.Equal([orphan.Name, "000000000013-0.seg.tmp"], _store.Sweep(held, history));
        Assert.Equal(["000000000001-" + _identity.Id + ".seg", "README"], Directory.EnumerateFiles(_folder.File("x.d/web")).Select(Path.GetFileName).Order());
        held.Dispose();
        Assert.Throws<InvalidOperationException>(() => _store.Sweep(held, history));
    }

    private static byte[] Filled(int pages, int seed = 1)
    {
        var bytes = new byte[pages * Page];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static MachineEvent.CheckpointCommitted Event(SegmentIdentity identity, SegmentPart part) =>
        Samples.Committed(identity.Number, default, part) with { Id = identity.Id, Mode = identity.Mode, Parent = identity.Parent };

    private SegmentReader Open(SegmentPart part) => _store.Open("web", Event(_identity, part));

    private int Damages(SegmentPart part)
    {
        var damages = 0;
        try
        {
            using var reader = Open(part);
            reader.Verify(_ => damages++, null, default);
        }
        catch (IntegrityException)
        {
            damages++;
        }

        return damages;
    }
}
