namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>The laws hold whatever happens, in whatever order. A failing seed prints itself; it replays with the same inputs.</summary>
public sealed class RandomWalkTests
{
    private const int InputsPerSeed = 200;
    private const int SeedsPerTest = 250;

    [Theory]
    [InlineData(0)]
    [InlineData(250)]
    [InlineData(500)]
    [InlineData(750)]
    [InlineData(1000)]
    [InlineData(1250)]
    [InlineData(1500)]
    [InlineData(1750)]
    public void The_laws_hold_on_every_walk(int firstSeed)
    {
        var committed = 0L;
        for (var seed = firstSeed; seed < firstSeed + SeedsPerTest; seed++)
            committed += RandomWalk.Walk(seed, InputsPerSeed).Committed;

        // Walks that never get anywhere would prove nothing.
        Assert.True(committed > SeedsPerTest, $"Only {committed} checkpoints on {SeedsPerTest} walks.");
    }
}
