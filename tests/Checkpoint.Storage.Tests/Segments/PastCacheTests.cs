using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Segments;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Tests.Segments;

public sealed class PastCacheTests : IDisposable
{
    private const int Bytes = 3 << 20;
    private const int Piece = 1 << 20;
    private const int Page = 4096;

    private readonly TemporaryFolder _folder = new();
    private readonly byte[] _content = new byte[Bytes];
    private readonly byte[] _room = GC.AllocateArray<byte>(Bytes + Page, pinned: true);
    private readonly string _path;

    public PastCacheTests()
    {
        new Random(5).NextBytes(_content);
        _path = _folder.File("content");
        DirectReadFactAttribute.WriteDurably(_path, _content);
    }

    public void Dispose() => _folder.Dispose();

    [DirectReadFact]
    public void What_is_not_in_the_page_cache_is_read_past_it_and_leaves_nothing_there()
    {
        using var file = OpenEvicted(out var handle);
        Assert.Equal(Piece, file.ReadPastCache(Aligned(), Piece));
        Assert.Equal(_content.AsSpan(Piece, Piece), Aligned());
        Assert.False(PageCache.Holds(handle, Piece, Piece));
    }

    [DirectReadFact]
    public void What_is_in_the_page_cache_is_read_from_there()
    {
        using var file = OpenEvicted(out _);
        Assert.Equal(Piece, file.Read(Aligned(), 0));
        Aligned().Clear();
        Assert.Equal(Piece, file.ReadPastCache(Aligned(), 0));
        Assert.Equal(_content.AsSpan(0, Piece), Aligned());
        Assert.Equal(1, Descriptors());
    }

    [DirectReadFact]
    public void A_file_without_a_name_is_read_past_the_cache_as_well()
    {
        using var file = OpenEvicted(out var handle);
        File.Delete(_path);
        Assert.Equal(Piece, file.ReadPastCache(Aligned(), 0));
        Assert.Equal(_content.AsSpan(0, Piece), Aligned());
        Assert.False(PageCache.Holds(handle, 0, Piece));
    }

    [Theory]
    [InlineData(1, 0, Piece)]
    [InlineData(0, 512, Piece)]
    [InlineData(0, 0, Piece - 1)]
    [InlineData(0, 0, Page)]
    public void A_read_that_the_disk_would_not_take_or_that_is_small_goes_through_the_cache(int shift, int offset, int length)
    {
        using var file = OpenEvicted(out _);
        var buffer = _room.AsSpan(Lead() + shift, length);
        Assert.Equal(length, file.ReadPastCache(buffer, offset));
        Assert.Equal(_content.AsSpan(offset, length), buffer);
        Assert.Equal(1, Descriptors());
    }

    [Fact]
    public void A_file_that_cannot_be_read_past_the_cache_is_read_all_the_same()
    {
        // A device that is neither on a disk nor in the cache.
        using var handle = File.OpenHandle("/dev/zero");
        using var file = new SystemFile(handle);
        Aligned().Fill(1);
        Assert.Equal(Piece, file.ReadPastCache(Aligned(), 0));
        Assert.False(Aligned().ContainsAnyExcept((byte)0));
    }

    [DirectReadFact]
    public void Who_reads_a_whole_segment_again_reads_it_through_the_cache()
    {
        var store = new SegmentStore(_folder.File("x.d"));
        var identity = new SegmentIdentity("web", 1, Samples.Committed(1).Id, CheckpointMode.Full, null);
        var committed = Samples.Committed(1, segment: store.Write(identity, [new PageRun(0, _content)]));
        using var first = store.Open("web", committed, readsAll: true);
        using var second = store.Open("web", committed, readsAll: true);
        using var looked = store.Open("web", committed);
        var path = Path.Combine(store.Folder, "web", committed.Segment!.Name);
        Assert.Equal((false, true, true), (IsCachedAfter(first, path), IsCachedAfter(second, path), IsCachedAfter(looked, path)));

        // Another process knows what the file system has noted; one that is mounted with noatime notes nothing.
        var isNoted = File.GetLastAccessTimeUtc(path) > File.GetLastWriteTimeUtc(path);
        using var other = new SegmentStore(store.Folder).Open("web", committed, readsAll: true);
        Assert.Equal(isNoted, IsCachedAfter(other, path));
    }

    // Whether the page cache has the memory once a reader has read all of it.
    private bool IsCachedAfter(SegmentReader reader, string path)
    {
        using var handle = File.OpenHandle(path);
        DirectReadFactAttribute.Evict(handle);
        var read = _room.AsSpan(Lead(), Bytes);
        read.Clear();
        Assert.Equal(Bytes / Page, reader.Read(0, read));
        Assert.Equal(_content, read);
        return PageCache.Holds(handle, SegmentFormat.DataOffset, Bytes);
    }

    // The file is opened a second time for the first read past the cache.
    private int Descriptors() => Directory.GetFiles("/proc/self/fd").Count(IsOfTheFile);

    private bool IsOfTheFile(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.FullName == _path;
        }
        catch (IOException)
        {
            return false; // Another test has closed it meanwhile.
        }
    }

    private SystemFile OpenEvicted(out SafeFileHandle handle)
    {
        handle = File.OpenHandle(_path);
        DirectReadFactAttribute.Evict(handle);
        return new SystemFile(handle);
    }

    private Span<byte> Aligned() => _room.AsSpan(Lead(), Piece);

    // The array is pinned, so what is aligned stays so.
    private int Lead() => (int)((Page - (Unsafe.ByteOffset(ref Unsafe.NullRef<byte>(), ref MemoryMarshal.GetArrayDataReference(_room)) % Page)) % Page);
}
