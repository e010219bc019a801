using Checkpoint.Cli.Parsing;

namespace Checkpoint.Cli.Tests.Parsing;

public class ByteSizeTests
{
    [Theory]
    [InlineData("4096", 4096UL)]
    [InlineData("4096B", 4096UL)]
    [InlineData("4KiB", 4096UL)]
    [InlineData("64MiB", 64UL << 20)]
    [InlineData("64mib", 64UL << 20)]
    [InlineData("3GiB", 3UL << 30)]
    [InlineData("1TiB", 1UL << 40)]
    public void A_size_is_a_whole_number_with_a_binary_unit(string text, ulong expected)
    {
        Assert.True(ByteSize.TryParse(text, out var bytes, out _));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("64MB")]
    [InlineData("64M")]
    [InlineData("-1MiB")]
    [InlineData("1.5MiB")]
    [InlineData("64 MiB")]
    [InlineData("16777216TiB")]
    [InlineData("18446744073709551616")]
    public void What_could_mean_two_sizes_or_none_is_refused_with_a_reason(string text)
    {
        Assert.False(ByteSize.TryParse(text, out _, out var reason));
        Assert.Contains($"'{text}'", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(8 << 20, "8 MiB")]
    [InlineData(22132, "21.6 KiB")]
    public void A_size_is_shown_in_the_largest_unit_that_leaves_a_number(long bytes, string expected) =>
        Assert.Equal(expected, ByteSize.Format(bytes));
}
