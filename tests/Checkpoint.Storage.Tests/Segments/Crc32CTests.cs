using System.Text;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

public sealed class Crc32CTests
{
    [Theory]
    [InlineData("", 0x00000000)]
    [InlineData("a", 0xC1D04330)]
    [InlineData("123456789", 0xE3069283)]
    [InlineData("The quick brown fox jumps over the lazy dog", 0x22620404)]
    public void Known_texts_have_their_known_checksums(string text, uint expected) =>
        Assert.Equal(expected, Crc32C.Of(Encoding.ASCII.GetBytes(text)));

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(11)]
    public void Pages_taken_together_have_the_checksums_that_they_have_alone(int count)
    {
        var pages = new byte[count * 4096];
        new Random(count).NextBytes(pages);
        var checksums = new uint[count];
        Crc32C.OfPages(pages, checksums);
        for (var i = 0; i < count; i++)
        {
            Assert.Equal(Crc32C.Of(pages.AsSpan(i * 4096, 4096)), checksums[i]);
            Assert.Equal(BitByBit(pages.AsSpan(i * 4096, 4096)), checksums[i]);
        }
    }

    private static uint BitByBit(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ (0x82F63B78 & (0u - (crc & 1)));
        }

        return ~crc;
    }
}
