using System.Buffers.Binary;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

/// <summary>Segment files that were written once and must be read for ever.</summary>
public sealed class SegmentGoldenTests : IDisposable
{
    private const int Page = 4096;

    private static readonly SegmentIdentity s_identity = new("web", 12, new CheckpointId(0xabc), CheckpointMode.Incremental, 7);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("plain-v1", PageEncoding.None)]
    [InlineData("brotli-v1", PageEncoding.Brotli)]
    public void A_segment_of_every_encoding_reads_as_it_was_written(string name, PageEncoding encoding)
    {
        var golden = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Segments", "golden", name + ".seg"));
        Directory.CreateDirectory(_folder.File("x.d/web"));
        File.WriteAllBytes(_folder.File($"x.d/web/{SegmentStore.NameOf(s_identity)}"), golden);
        Assert.Null(SegmentFormat.ReadFooter(golden.AsSpan(golden.Length - SegmentFormat.FooterBytes), golden.Length, out _, out _, out var digest));
        var part = new SegmentPart(SegmentStore.NameOf(s_identity), digest, golden.Length);
        var committed = Samples.Committed(12, default, part) with { Id = s_identity.Id, Mode = s_identity.Mode, Parent = s_identity.Parent };
        using var reader = new SegmentStore(_folder.File("x.d")).Open("web", committed);
        Assert.Equal((encoding == PageEncoding.Brotli, 3L, 1L), (reader.IsCompressed, reader.DataPages, reader.ZeroPages));
        foreach (var run in Runs())
        {
            var read = new byte[run.Bytes.Length];
            read.AsSpan().Fill(0xee);
            Assert.Equal(read.Length / Page, reader.Read(run.GuestAddress, read));
            Assert.True(run.Bytes.Span.SequenceEqual(read));
        }
    }

    [Fact]
    public void A_plain_segment_is_written_as_it_always_was()
    {
        var part = new SegmentStore(_folder.File("y.d")).Write(s_identity, Runs());
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Segments", "golden", "plain-v1.seg")),
            File.ReadAllBytes(_folder.File($"y.d/web/{part.Name}")));
    }

    private static PageRun[] Runs()
    {
        var bytes = new byte[3 * Page];
        for (var i = 0; i < bytes.Length; i += sizeof(int))
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i), i / 20 * 7);
        return [new PageRun(0x3000, bytes.AsMemory(0, 2 * Page)), new PageRun(0x8000, new byte[Page]), new PageRun(0xffff_f000, bytes.AsMemory(2 * Page))];
    }
}
