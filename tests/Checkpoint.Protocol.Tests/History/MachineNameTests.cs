using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.History;

public sealed class MachineNameTests
{
    public static TheoryData<string> Names =>
        [.. (string[])["a", "web", "Web-2_b.c", "0", "-", "_", "a.", "latest", new string('x', MachineName.MaxLength)]];

    public static TheoryData<string?, string> NoNames => new()
    {
        { null, "needs a name" },
        { "", "needs a name" },
        { new string('x', MachineName.MaxLength + 1), "at most 64" },
        { ".", "dot" },
        { "..", "dot" },
        { ".hidden", "dot" },
        { "a/b", "'a/b'" },
        { "a\\b", "use letters" },
        { "a b", "use letters" },
        { "a@1", "use letters" },
        { "web\n", "use letters" },
        { "web\0", "use letters" },
        { "käse", "use letters" },
        { "\u0661", "use letters" },
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Letters_digits_dots_dashes_and_underscores_are_names(string name)
    {
        Assert.True(MachineName.IsValid(name, out var reason));
        Assert.Null(reason);
    }

    [Theory]
    [MemberData(nameof(NoNames))]
    public void Nothing_else_is_a_name_and_the_reason_is_told(string? name, string why)
    {
        Assert.False(MachineName.IsValid(name, out var reason));
        Assert.Contains(why, reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_is_called_after_its_machine() => Assert.Equal("vm-web", MachineName.StreamOf("web"));
}
