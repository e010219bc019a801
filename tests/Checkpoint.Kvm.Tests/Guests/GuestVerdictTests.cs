using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class GuestVerdictTests
{
    [Fact]
    public void A_guest_whose_every_vcpu_went_on_has_continued() =>
        Assert.Empty(Moment([6, 8], [3, 2]).FailuresSince(Moment([5, 7], [2, 2])));

    [Fact]
    public void A_vcpu_that_stands_still_is_named() =>
        Assert.Equal(
            ["vCPU 1: steps expected above 7, found 7"],
            Moment([6, 7], []).FailuresSince(Moment([5, 7], [])));

    [Fact]
    public void Hops_that_do_not_grow_are_named() =>
        Assert.Equal(
            ["hops of all tokens expected above 4, found 4"],
            Moment([6], [2, 2]).FailuresSince(Moment([5], [2, 2])));

    [Fact]
    public void A_token_that_went_back_is_named() =>
        Assert.Equal(
            ["token 2: hops expected at least 2, found 1"],
            Moment([6], [9, 1]).FailuresSince(Moment([5], [2, 2])));

    [Fact]
    public void A_moment_that_was_inconsistent_proves_nothing()
    {
        var broken = new GuestVerdict([5], [], ["vCPU 0: rbx (x) expected 0x1, found 0x2"]);

        Assert.Equal(["at the checkpoint: " + broken.Failures[0]], Moment([6], []).FailuresSince(broken));
        Assert.Equal(broken.Failures, broken.FailuresSince(Moment([4], [])));
    }

    [Fact]
    public void Moments_of_different_guests_are_not_compared() =>
        Assert.Equal(
            ["the two moments are of different guests"],
            Moment([6, 6], []).FailuresSince(Moment([5], [])));

    private static GuestVerdict Moment(ulong[] steps, ulong[] tokenHops) => new(steps, tokenHops, []);
}
