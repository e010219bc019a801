using System.Globalization;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>What is typed behind <c>run</c>, drawn from a seed.</summary>
/// <param name="Words">The options; those of the store and of the faults are not among them.</param>
/// <param name="InterruptAfter">When somebody loses patience, at the latest.</param>
internal sealed record RunArguments(IReadOnlyList<string> Words, TimeSpan InterruptAfter)
{
    // A run that was to end by itself and has not by then hangs before its guest runs: that ends with an interrupt.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(6);

    /// <summary>What a new machine is like.</summary>
    public static IReadOnlyList<string> DrawShape(Random random) =>
    [
        "--guest", Pick(random, "ledger", "ledger", "ledger", "counter", "timer"),
        "--vcpus", Pick(random, "1", "2", "2", "3", "4"),
        "--memory", Pick(random, "4MiB", "8MiB", "8MiB", "64MiB"),
        "--seed", random.Next().ToString(CultureInfo.InvariantCulture),
    ];

    /// <summary>How many vCPUs it has.</summary>
    public static int VcpusOf(IReadOnlyList<string> shape) => int.Parse(shape[shape.ToList().IndexOf("--vcpus") + 1], CultureInfo.InvariantCulture);

    /// <summary>How it is checkpointed, and until when.</summary>
    public static RunArguments Draw(Random random, params IReadOnlyList<string> machine)
    {
        List<string> words = [.. machine, "--machine", "kvm", "--every", Pick(random, "1ms", "5ms", "20ms", "50ms"), "--mode", Pick(random, "full", "incremental")];
        if (random.Next(4) == 0)
            words.Add("--compress");
        if (random.Next(3) == 0)
            words.AddRange(["--keep", Pick(random, "1", "3", "10")]);
        if (random.Next(6) == 0)
            words.AddRange(["--batching", Pick(random, "msrs", "one-reg")]);
        if (random.Next(5) < 2)
            words.AddRange(["--max-pause", Pick(random, "1ms", "2ms", "5ms"), "--over-max-pause", Pick(random, "protect", "protect", "refuse", "exceed")]);
        switch (random.Next(10))
        {
            case < 6:
                var milliseconds = random.Next(200, 2_000);
                words.AddRange(["--for", string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms")]);
                return new RunArguments(words, TimeSpan.FromMilliseconds(milliseconds) + s_patience);
            case < 9:
                words.AddRange(["--checkpoints", random.Next(1, 40).ToString(CultureInfo.InvariantCulture)]);
                return new RunArguments(words, s_patience);
            default:
                return new RunArguments(words, TimeSpan.FromMilliseconds(random.Next(1, 2_000)));
        }
    }

    public static string Pick(Random random, params string[] from) => from[random.Next(from.Length)];
}
