using Checkpoint.Cli.Parsing;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Cli.Tests.Parsing;

public class DurationTests
{
    [Theory]
    [InlineData("1ms", 1)]
    [InlineData("100ms", 100)]
    [InlineData("1s", 1000)]
    [InlineData("1.5s", 1500)]
    [InlineData("5m", 300_000)]
    [InlineData("720h", 2_592_000_000)]
    public void A_duration_is_a_number_with_a_unit(string text, long milliseconds)
    {
        Assert.True(Duration.TryParse(text, out var duration, out _));
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), duration);
    }

    [Theory]
    [InlineData("")]
    [InlineData("100")]
    [InlineData("ms")]
    [InlineData("-1s")]
    [InlineData("1e3ms")]
    [InlineData("1 s")]
    [InlineData("1d")]
    [InlineData("0ms")]
    [InlineData("0.5ms")]
    [InlineData("721h")]
    [InlineData("NaNs")]
    public void What_is_no_duration_or_out_of_range_is_refused_with_a_reason(string text)
    {
        Assert.False(Duration.TryParse(text, out _, out var reason));
        Assert.Contains($"'{text}'", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_duration_that_may_be_written_is_an_interval_or_a_pause_that_the_engine_takes()
    {
        Assert.Equal(Duration.Shortest, OptionLimits.Interval(Duration.Shortest));
        Assert.Equal(Duration.Longest, OptionLimits.Interval(Duration.Longest));
        Assert.Equal(Duration.Shortest, OptionLimits.Pause(Duration.Shortest));
        Assert.True(Duration.TryParse("24h", out var pause, out _, OptionLimits.LongestDeadline));
        Assert.Equal(pause, new CoordinatorOptions { MaxPause = pause }.MaxPause);
        Assert.False(Duration.TryParse("24.1h", out _, out var reason, OptionLimits.LongestDeadline));
        Assert.EndsWith("write a duration from 1ms to 24h", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(815, "815 µs")]
    [InlineData(4017, "4.02 ms")]
    [InlineData(43_374, "43.4 ms")]
    [InlineData(3_002_000, "3.00 s")]
    [InlineData(300_000_000, "5 min")]
    public void A_time_is_shown_with_three_digits_or_so(long microseconds, string expected) =>
        Assert.Equal(expected, Duration.FormatUs(microseconds));
}
