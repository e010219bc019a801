using System.Globalization;

namespace Checkpoint.Simulation;

/// <summary>The command line.</summary>
internal sealed record Arguments
{
    // A history has an end: so many rounds fit into its steps.
    private const ulong MostRounds = 1000;

    public const string Help = """
        Plays histories of the whole checkpoint engine on one seeded scheduler and virtual time, and holds invariants against each.

        Usage: Checkpoint.Simulation [--seeds N] [--from N] [--mode M] [--rounds N] [--parallel N] [--first]
               Checkpoint.Simulation --seed N [--mode M] [--rounds N] [--history]

          --seeds N     how many seeds to play (default 5000)
          --from N      the first of them (default 1)
          --seed N      one seed alone
          --history     print what happened in it, a line each
          --mode M      safety: everything goes wrong at any time; liveness: everything for a while, then what is broken
                        stays so and all that is whole must go on; plain: nothing goes wrong; mixed: safety, and liveness at
                        every fourth seed (default mixed)
          --rounds N    rounds of each machine, 5 to 1000 (default 5)
          --parallel N  how many seeds at a time (default: as many as there are processors)
          --first       stop at the first seed that fails
          --help        this

        The same seed, mode and rounds give the same history, byte for byte. Exit codes: 0 every invariant held in every history;
        1 one was broken, with the command that replays it; 2 the command line makes no sense; 130 interrupted.
        """;

    public ulong From { get; init; } = 1;

    public ulong Seeds { get; init; } = 5000;

    public bool IsOne { get; init; }

    public bool PrintsHistory { get; init; }

    /// <summary>Null for mixed.</summary>
    public SimulationMode? Mode { get; init; }

    public int Rounds { get; init; } = 5;

    public int Parallel { get; init; } = Environment.ProcessorCount;

    public bool StopsAtFirst { get; init; }

    public bool WantsHelp { get; init; }

    /// <summary>Reads a command line.</summary>
    /// <exception cref="FormatException">It makes no sense; the message says in what.</exception>
    public static Arguments Parse(IReadOnlyList<string> args)
    {
        var parsed = new Arguments();
        for (var i = 0; i < args.Count; i++)
        {
            var option = args[i];
            string Value() => ++i < args.Count ? args[i] : throw new FormatException($"{option} needs a value");
            parsed = option switch
            {
                "--seeds" => parsed with { Seeds = Number(option, Value(), 1) },
                "--from" => parsed with { From = Number(option, Value(), 0) },
                "--seed" => parsed with { From = Number(option, Value(), 0), Seeds = 1, IsOne = true },
                "--history" => parsed with { PrintsHistory = true },
                "--mode" => parsed with { Mode = ModeOf(Value()) },
                "--rounds" => parsed with { Rounds = (int)Number(option, Value(), 5, MostRounds) },
                "--parallel" => parsed with { Parallel = (int)Math.Min(1024, Number(option, Value(), 1)) },
                "--first" => parsed with { StopsAtFirst = true },
                "--help" or "-h" => parsed with { WantsHelp = true },
                _ => throw new FormatException($"there is no option '{option}'; see --help"),
            };
        }

        if (parsed.IsOne && (args.Contains("--seeds") || args.Contains("--from")))
            throw new FormatException("--seed is one seed alone, --seeds and --from are many: give either");
        return parsed.PrintsHistory && !parsed.IsOne ? throw new FormatException("--history needs --seed") : parsed;
    }

    /// <summary>The mode of one seed.</summary>
    public SimulationMode ModeOf(ulong seed) => Mode ?? (seed % 4 == 0 ? SimulationMode.Liveness : SimulationMode.Safety);

    private static SimulationMode? ModeOf(string name) => name switch
    {
        "safety" => SimulationMode.Safety,
        "liveness" => SimulationMode.Liveness,
        "plain" => SimulationMode.Plain,
        "mixed" => null,
        _ => throw new FormatException($"--mode is safety, liveness, plain or mixed, not '{name}'"),
    };

    private static ulong Number(string option, string text, ulong least, ulong most = ulong.MaxValue) =>
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw new FormatException($"{option} is a whole number from {least}{(most < ulong.MaxValue ? $" to {most}" : "")}, not '{text}'");
}
