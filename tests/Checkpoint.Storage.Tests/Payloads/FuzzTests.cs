using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Tests.Payloads;

public sealed class FuzzTests
{
    private static readonly string[] _manifests = [.. Samples.OneOfEach().Select(EventCodec.ManifestOf)];

    [Fact]
    public void Random_bytes_give_a_payload_exception_or_a_value()
    {
        var random = new Random(11);
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = new byte[random.Next(200)];
            random.NextBytes(bytes);
            DecodeAll(bytes, _manifests[i % _manifests.Length]);
        }
    }

    [Fact]
    public void A_payload_cut_short_is_always_noticed()
    {
        foreach (var @event in Samples.OneOfEach())
        {
            var bytes = Samples.Encode(default, @event);
            for (var length = 0; length < bytes.Length; length++)
                Assert.Throws<PayloadException>(() => EventCodec.Decode(EventCodec.ManifestOf(@event), 1, bytes.AsMemory(0, length)));
        }

        var document = StateDocumentCodec.Encode(Samples.Document());
        for (var length = 0; length < document.Length; length++)
            Assert.Throws<PayloadException>(() => StateDocumentCodec.Decode(document[..length]));
    }

    [Fact]
    public void A_flipped_bit_gives_a_payload_exception_or_a_value()
    {
        foreach (var @event in Samples.OneOfEach())
            Flip(Samples.Encode(default, @event), EventCodec.ManifestOf(@event));
        Flip(StateDocumentCodec.Encode(Samples.Document()).ToArray(), _manifests[0]);
        Flip(Samples.Encode(Samples.History()), _manifests[0]);
    }

    [Fact]
    public void Bytes_after_the_value_are_noticed()
    {
        var @event = Samples.OneOfEach()[3];
        Assert.Throws<PayloadException>(() => EventCodec.Decode(EventCodec.ManifestOf(@event), 1, (byte[])[.. Samples.Encode(default, @event), 0xc0]));
    }

    [Theory]
    [InlineData("DDFFFFFFFF")]
    [InlineData("93C420")]
    [InlineData("91C6FFFFFFFF")]
    [InlineData("91DBFFFFFFFF")]
    [InlineData("91C9FFFFFFFF00")]
    public void A_length_beyond_the_bytes_allocates_nothing(string hex)
    {
        var bytes = Convert.FromHexString(hex);
        Assert.Throws<PayloadException>(() => EventCodec.Decode("checkpoint-pruned-v1", 1, bytes));
        var before = GC.GetAllocatedBytesForCurrentThread();
        DecodeAll(bytes, "checkpoint-pruned-v1");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void Deep_nesting_takes_no_stack()
    {
        byte[] bytes = [0x94, .. new byte[] { 0xc0, 0xc0, 0xc0 }, .. Enumerable.Repeat((byte)0x91, 5_000_000), 0xc0];
        Assert.Equal(0, ((Protocol.Events.MachineEvent.CheckpointPinned)EventCodec.Decode("checkpoint-pinned-v1", 1, bytes).Event).Number);
    }

    private static void Flip(byte[] bytes, string manifest)
    {
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            DecodeAll(bytes, manifest);
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    private static void DecodeAll(byte[] bytes, string manifest)
    {
        Decode(() => EventCodec.Decode(manifest, 1, bytes));
        Decode(() => StateDocumentCodec.Decode(bytes));
        Decode(() => SnapshotCodec.Decode(SnapshotCodec.Manifest, bytes));
    }

    private static void Decode(Action decode)
    {
        try
        {
            decode();
        }
        catch (PayloadException exception)
        {
            Assert.DoesNotContain('\n', exception.Message);
        }
    }
}
