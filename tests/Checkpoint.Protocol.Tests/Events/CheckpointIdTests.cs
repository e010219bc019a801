using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Events;

public sealed class CheckpointIdTests
{
    [Theory]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("00000000000000000000000000000001")]
    [InlineData("0123456789abcdeffedcba9876543210")]
    [InlineData("ffffffffffffffffffffffffffffffff")]
    public void An_id_is_written_as_it_is_read(string text) => Assert.Equal(text, CheckpointId.Parse(text).ToString());

    [Fact]
    public void The_first_digits_are_the_most_significant() =>
        Assert.Equal(new CheckpointId((UInt128)0x01 << 120), CheckpointId.Parse("01000000000000000000000000000000"));

    [Fact]
    public void Upper_case_is_read_and_lower_case_written() =>
        Assert.Equal("deadbeef00000000000000000000000f", CheckpointId.Parse("DEADBEEF00000000000000000000000F").ToString());

    [Theory]
    [InlineData("")]
    [InlineData(" 123456789abcdef0123456789abcdef0")]
    [InlineData("0x23456789abcdef0123456789abcdef0")]
    [InlineData("-123456789abcdef0123456789abcdef0")]
    [InlineData("g0000000000000000000000000000000")]
    public void What_is_not_hex_is_no_id(string text) => Assert.Throws<FormatException>(() => CheckpointId.Parse(text));

    [Theory]
    [InlineData("7")]
    [InlineData("0123456789abcdeffedcba987654321")]
    [InlineData("0123456789abcdeffedcba98765432100")]
    [InlineData("00000000000000000000000000000000000000000000000000000000deadbeef")]
    public void An_id_has_exactly_32_digits(string text) => Assert.Throws<FormatException>(() => CheckpointId.Parse(text));

    [Theory]
    [InlineData("0123456789abcdeffedcba987654321 ")]
    [InlineData("0123456789abcdeffedcba98765432\u0661\u0662")]
    public void Digits_are_those_of_ascii(string text) => Assert.Throws<FormatException>(() => CheckpointId.Parse(text));
}
