using System.Globalization;

namespace Checkpoint.Simulation.Tests;

/// <summary>Laws of the histories themselves.</summary>
public sealed class HistoryTests
{
    public static TheoryData<ulong, string, string> SeedsWithStories()
    {
        var data = new TheoryData<ulong, string, string>();
        foreach (var line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "seeds.txt")).Where(line => line.Length > 0 && line[0] != '#'))
        {
            var parts = line.Split(' ', 3);
            data.Add(ulong.Parse(parts[0], CultureInfo.InvariantCulture), parts[1], parts[2]);
        }

        return data;
    }

    [Theory]
    [InlineData(11, "Plain")]
    [InlineData(1003, "Safety")]
    [InlineData(1011, "Safety")]
    [InlineData(1024, "Liveness")]
    public void The_same_seed_gives_the_same_history_byte_for_byte(ulong seed, string mode)
    {
        var options = new SimulationOptions(Enum.Parse<SimulationMode>(mode), KeepsHistory: true);
        var first = Simulation.Run(seed, options);
        var second = Simulation.Run(seed, options);
        Assert.NotEmpty(first.History);
        Assert.Equal(first.History, second.History);
        Assert.Equal(first.Fingerprint, second.Fingerprint);
        Assert.Equal(first.Steps, second.Steps);
    }

    [Fact]
    public void Whether_a_history_is_written_down_changes_nothing_in_it()
    {
        for (var seed = 200UL; seed < 230; seed++)
        {
            var silent = Simulation.Run(seed, new SimulationOptions());
            var told = Simulation.Run(seed, new SimulationOptions(KeepsHistory: true));
            Assert.Equal(silent.Fingerprint, told.Fingerprint);
        }
    }

    [Fact]
    public void Every_invariant_holds_in_every_history()
    {
        foreach (var mode in Enum.GetValues<SimulationMode>())
        {
            for (var seed = 1UL; seed <= 60; seed++)
            {
                var result = Simulation.Run(seed, new SimulationOptions(mode));
                Assert.True(result.BrokenInvariant is null, $"seed {seed}, {mode}: {result.BrokenInvariant}: {result.What}");
                Assert.True(result.Rounds >= 3, $"seed {seed}, {mode}: {result.Rounds} rounds");
            }
        }
    }

    [Theory]
    [MemberData(nameof(SeedsWithStories))]
    public void A_seed_that_found_a_mistake_finds_it_no_more(ulong seed, string mode, string story)
    {
        var result = Simulation.Run(seed, new SimulationOptions(Enum.Parse<SimulationMode>(mode, ignoreCase: true)));
        Assert.True(result.BrokenInvariant is null, $"{story} {result.BrokenInvariant}: {result.What}");
    }

    [Theory]
    [InlineData("--seeds", "0")]
    [InlineData("--mode", "wild")]
    [InlineData("--history")]
    [InlineData("--seed")]
    [InlineData("nonsense")]
    [InlineData("--rounds", "4294967301")]
    [InlineData("--seed", "5", "--seeds", "3")]
    [InlineData("--from", "9", "--seed", "5")]
    public void A_command_line_that_makes_no_sense_is_refused(params string[] args) =>
        Assert.Throws<FormatException>(() => Arguments.Parse(args));
}
