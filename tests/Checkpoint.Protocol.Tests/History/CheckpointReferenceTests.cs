using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.History;

public sealed class CheckpointReferenceTests
{
    public static TheoryData<string> NoReferences =>
    [
        .. (string[])
        [
            "", "web", "web@", "@", "@latest", "@1", "web@0", "web@-1", "web@+1", "web@ 1", "web@1 ", "web@1.0", "web@0x1",
            "web@Latest", "web@latest ", "web@9223372036854775808", "a@b@1", ".web@1", "a/b@latest", "web@\u0661",
            "deadbee", "deadbeeg", "0123456789abcdef0123456789abcdef0", "dead beef", "0xdeadbeef",
        ],
    ];

    [Fact]
    public void The_newest_is_named_latest() => Assert.Equal(new CheckpointReference.Latest("web"), Parse("web@latest"));

    [Theory]
    [InlineData("web@1", 1)]
    [InlineData("web@12", 12)]
    [InlineData("web@012", 12)]
    [InlineData("web@9223372036854775807", long.MaxValue)]
    public void A_number_stands_after_the_at(string text, long number) =>
        Assert.Equal(new CheckpointReference.Numbered("web", number), Parse(text));

    [Theory]
    [InlineData("deadbeef", "deadbeef")]
    [InlineData("DEADbeef", "deadbeef")]
    [InlineData("12345678", "12345678")]
    [InlineData("0123456789abcdef0123456789ABCDEF", "0123456789abcdef0123456789abcdef")]
    public void Eight_or_more_hex_digits_are_the_beginning_of_an_id(string text, string digits) =>
        Assert.Equal(new CheckpointReference.IdPrefix(digits), Parse(text));

    [Fact]
    public void Hex_digits_before_an_at_are_a_machine() =>
        Assert.Equal(new CheckpointReference.Numbered("deadbeef", 3), Parse("deadbeef@3"));

    [Theory]
    [MemberData(nameof(NoReferences))]
    public void Anything_else_is_refused_with_one_line_that_says_why(string text)
    {
        Assert.False(CheckpointReference.TryParse(text, out var reference, out var reason));
        Assert.Null(reference);
        Assert.False(string.IsNullOrWhiteSpace(reason));
        Assert.DoesNotContain('\n', reason);
    }

    [Theory]
    [InlineData("web@latest")]
    [InlineData("web.2@17")]
    [InlineData("0123456789")]
    public void A_reference_is_written_as_it_is_read(string text) => Assert.Equal(text, Parse(text).ToString());

    [Fact]
    public void The_latest_is_the_highest_that_exists()
    {
        var history = Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Full(3, 2), Streams.Pruned(3));
        Assert.Equal(2, new CheckpointReference.Latest("web").FindIn(history)?.Number);
        Assert.Null(new CheckpointReference.Latest("web").FindIn(Streams.Of()));
    }

    [Fact]
    public void A_number_finds_its_checkpoint_while_it_exists()
    {
        var history = Streams.Of(Streams.Full(1), Streams.Full(2, 1), Streams.Pruned(1));
        Assert.Equal(2, new CheckpointReference.Numbered("web", 2).FindIn(history)?.Number);
        Assert.Null(new CheckpointReference.Numbered("web", 1).FindIn(history));
        Assert.Null(new CheckpointReference.Numbered("web", 3).FindIn(history));
    }

    [Fact]
    public void The_beginning_of_an_id_fits_the_ids_that_begin_so()
    {
        var checkpoint = Streams.Full(1) with { Id = Protocol.Events.CheckpointId.Parse("0123456789abcdef0123456789abcdef") };
        Assert.True(new CheckpointReference.IdPrefix("01234567").Fits(checkpoint));
        Assert.True(new CheckpointReference.IdPrefix("0123456789abcdef0123456789abcdef").Fits(checkpoint));
        Assert.False(new CheckpointReference.IdPrefix("12345678").Fits(checkpoint));
    }

    private static CheckpointReference Parse(string text)
    {
        Assert.True(CheckpointReference.TryParse(text, out var reference, out var reason), reason);
        Assert.Null(reason);
        return reference;
    }
}
