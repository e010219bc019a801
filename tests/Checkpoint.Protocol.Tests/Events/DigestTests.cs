using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Events;

public sealed class DigestTests
{
    private static readonly byte[] Counting = [.. Enumerable.Range(0, Digest.SizeBytes).Select(i => (byte)i)];

    [Fact]
    public void A_digest_is_sha_256_and_is_written_in_lower_case() =>
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Digest.Of("abc"u8).ToString());

    [Fact]
    public void A_digest_that_was_never_set_is_zero()
    {
        Assert.True(default == Digest.Zero);
        Assert.Equal(Digest.Zero.GetHashCode(), default(Digest).GetHashCode());
        Assert.Equal(new string('0', 64), default(Digest).ToString());
        Assert.Equal(Digest.Zero, Digest.From(new byte[Digest.SizeBytes]));
    }

    [Fact]
    public void Bytes_make_the_digest_whatever_array_they_came_from()
    {
        var bytes = Counting.ToArray();
        var digest = Digest.From(bytes);
        Assert.Equal(Counting, digest.Bytes.ToArray());
        bytes[0] = 0xff;
        Assert.Equal(Counting, digest.Bytes.ToArray());
        Assert.Equal(Digest.From(Counting), digest);
        Assert.Equal(Digest.From(Counting).GetHashCode(), digest.GetHashCode());
        Assert.True(digest.Equals((object)Digest.From(Counting)));
        Assert.False(digest.Equals("a digest"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(31)]
    public void Every_byte_counts(int changed)
    {
        var bytes = Counting.ToArray();
        bytes[changed] ^= 0x80;
        Assert.True(Digest.From(bytes) != Digest.From(Counting));
        Assert.False(Digest.From(bytes) == Digest.From(Counting));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    public void A_digest_has_32_bytes(int length) => Assert.Throws<ArgumentException>(() => Digest.From(new byte[length]));
}
