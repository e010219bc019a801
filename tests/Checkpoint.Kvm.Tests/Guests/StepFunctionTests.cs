using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class StepFunctionTests
{
    [Fact]
    public void Jumping_ahead_gives_what_stepping_one_by_one_gives()
    {
        var step = StepFunction.Guest;
        var naive = 42UL;
        for (var n = 0UL; n < 3000; n++)
        {
            Assert.Equal(naive, step.Jump(42, n));
            naive = step.Next(naive);
        }
    }

    [Theory]
    [InlineData(0UL, ulong.MaxValue)]
    [InlineData(1UL << 40, (1UL << 63) + 12345)]
    public void Two_jumps_are_one_jump_of_their_sum(ulong first, ulong second)
    {
        var step = StepFunction.Guest;

        Assert.Equal(step.Jump(7, unchecked(first + second)), step.Jump(step.Jump(7, first), second));
    }

    [Fact]
    public void The_constants_give_the_full_period()
    {
        Assert.Equal(1UL, StepFunction.Guest.Multiplier % 4);
        Assert.Equal(1UL, StepFunction.Guest.Increment % 2);
    }

    [Fact]
    public void Streams_start_at_different_values_whose_low_bits_differ_too()
    {
        var starts = Enumerable.Range(0, 64).Select(stream => StepFunction.Guest.Start(9, stream)).ToList();

        Assert.Equal(64, starts.Distinct().Count());
        Assert.True(starts.Select(x => x & 0xffff).Distinct().Count() > 60);
    }
}
