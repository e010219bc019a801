using System.Globalization;

namespace Checkpoint.Bench;

/// <summary>What the bench was asked for; bench/run --help says what each means.</summary>
internal sealed record BenchOptions
{
    public string Floor { get; private init; } = "";

    public string Guest { get; private init; } = "";

    public IReadOnlyList<int> MemoryMiB { get; private init; } = [64, 256, 1024, 4096];

    public IReadOnlyList<int> Vcpus { get; private init; } = [1];

    public int Checkpoints { get; private init; } = 200;

    public double DirtyPercent { get; private init; } = 1;

    public IReadOnlyList<int> Rates { get; private init; } = [];

    public TimeSpan Every { get; private init; } = TimeSpan.FromMilliseconds(50);

    public double? MaxPauseMs { get; private init; }

    public string Store { get; private init; } = "";

    public static BenchOptions Parse(IReadOnlyList<string> arguments)
    {
        var options = new BenchOptions();
        for (var i = 0; i < arguments.Count; i += 2)
        {
            if (i + 1 == arguments.Count)
                throw new FormatException($"{arguments[i]} has no value");
            var value = arguments[i + 1];
            options = arguments[i] switch
            {
                "--floor" => options with { Floor = value },
                "--guest" => options with { Guest = value },
                "--store" => options with { Store = value },
                "--memory" => options with { MemoryMiB = Numbers(value) },
                "--vcpus" => options with { Vcpus = Numbers(value) },
                "--checkpoints" => options with { Checkpoints = Numbers(value)[0] },
                "--dirty" => options with { DirtyPercent = Number(value) },
                "--rates" => options with { Rates = Numbers(value) },
                "--every-ms" => options with { Every = TimeSpan.FromMilliseconds(Number(value)) },
                "--max-pause-ms" => options with { MaxPauseMs = Number(value) },
                _ => throw new FormatException($"{arguments[i]} is no option"),
            };
        }

        return options;
    }

    private static IReadOnlyList<int> Numbers(string list) => [.. list.Split(',').Select(word => int.Parse(word, CultureInfo.InvariantCulture))];

    private static double Number(string word) => double.Parse(word, CultureInfo.InvariantCulture);
}
