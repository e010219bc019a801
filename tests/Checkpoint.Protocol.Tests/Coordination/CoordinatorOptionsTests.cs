using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class CoordinatorOptionsTests
{
    private static readonly CoordinatorOptions s_sound = new();

    [Theory]
    [InlineData(-1, "infinite")]
    [InlineData(-5000, "-5000ms")]
    [InlineData(0, "0ms")]
    [InlineData(86_400_001, "86400001ms")]
    public void A_deadline_that_no_timer_should_be_set_to_is_refused_by_its_name(long milliseconds, string found)
    {
        var wrong = TimeSpan.FromMilliseconds(milliseconds);
        foreach (var (name, set) in new (string, Func<CoordinatorOptions>)[]
        {
            ("PrepareDeadline", () => s_sound with { PrepareDeadline = wrong }),
            ("ParkDeadline", () => s_sound with { ParkDeadline = wrong }),
            ("CaptureDeadline", () => s_sound with { CaptureDeadline = wrong }),
            ("ResumeDeadline", () => s_sound with { ResumeDeadline = wrong }),
            ("StoreDeadline", () => s_sound with { StoreDeadline = wrong }),
            ("RecoverDeadline", () => s_sound with { RecoverDeadline = wrong }),
            ("RestoreDeadline", () => s_sound with { RestoreDeadline = wrong }),
            ("StopDeadline", () => s_sound with { StopDeadline = wrong }),
        })
        {
            var refused = Assert.Throws<OptionOutOfRangeException>(set);
            Assert.Equal($"{name} = {found}: write a duration from 1ms to 1d", refused.Message);
            Assert.Equal((name, name), (refused.Option, refused.ParamName));
        }
    }

    [Fact]
    public void Counts_modes_and_the_grace_have_limits_too()
    {
        AssertRefused("MaxChain = 0: write a whole number from 1", () => s_sound with { MaxChain = 0 });
        AssertRefused("Keep = -5: write a whole number from 1", () => s_sound with { Keep = -5 });
        AssertRefused("Keep = 0: write a whole number from 1", () => s_sound with { Keep = 0 });
        AssertRefused("Mode = 7: write full or incremental", () => s_sound with { Mode = (CheckpointMode)7 });
        AssertRefused("MaxPause = 0ms: write a duration from 0.001ms to 1d", () => s_sound with { MaxPause = TimeSpan.Zero });
        AssertRefused("OverMaxPause = 9: write protect, refuse or exceed", () => s_sound with { OverMaxPause = (OverMaxPause)9 });
        AssertRefused("StoreGrace = infinite: write a duration from 0ms to 1d", () => s_sound with { StoreGrace = Timeout.InfiniteTimeSpan });
        AssertRefused("StoreGrace = -0.5ms: write a duration from 0ms to 1d", () => s_sound with { StoreGrace = TimeSpan.FromMicroseconds(-500) });
    }

    [Fact]
    public void What_lies_at_the_limits_is_taken()
    {
        var least = TimeSpan.FromMilliseconds(1);
        var most = OptionLimits.LongestDeadline;
        Assert.Equal((least, most), ((s_sound with { ParkDeadline = least }).ParkDeadline, (s_sound with { ParkDeadline = most }).ParkDeadline));
        Assert.Equal(TimeSpan.Zero, (s_sound with { StoreGrace = TimeSpan.Zero }).StoreGrace);
        Assert.Equal((1, 1, null), ((s_sound with { MaxChain = 1 }).MaxChain, (s_sound with { Keep = 1 }).Keep, (s_sound with { Keep = null }).Keep));
    }

    private static void AssertRefused(string message, Func<CoordinatorOptions> set) =>
        Assert.Equal(message, Assert.Throws<OptionOutOfRangeException>(set).Message);
}
