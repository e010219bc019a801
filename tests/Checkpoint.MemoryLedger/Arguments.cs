using System.Globalization;
using System.Security.Cryptography;

namespace Checkpoint.MemoryLedger;

/// <summary>What was asked for on the command line.</summary>
internal sealed record Arguments
{
    public const string Usage = """
        Usage: tests/memory-ledger [--checkpoints N] [--restores N] [--for D] [--seed N] [--machine kvm|sim|both] [--parallel N] [--release] ...
        Ledger guests at 1 to 8 vCPUs write all their memory, and the host some of it, under full and incremental checkpoints,
        compressed and plain, with retention, pins and restarts from earlier checkpoints in between. Random checkpoints are restored while
        their machine runs on: every token must be there exactly once, and every page must have the SHA-256 that it had in the pause.
        Ends with 1 and says what differs if anything does.
          --checkpoints N    how many (default 500)
          --restores N       how many (default a tenth of the checkpoints)
          --for D            end after so many seconds even if that is before (such as 30s)
          --seed N           where everything random comes from (printed when none is given)
          --machine M        KVM of this host, simulated, or both: one in five simulated (default both where there is KVM, otherwise sim)
          --per-machine N    checkpoints of each machine (default 100)
          --only N           this machine alone, by the number that a failure prints
          --parallel N       machines at once (default 3)
          --forget-writes    have the host write without saying so, to see that it is found
          --release          use what 'dotnet build -c Release' has built instead of building
        """;

    public int Checkpoints { get; private init; } = 500;

    public int? GivenRestores { get; private init; }

    public int Restores => GivenRestores ?? (Checkpoints / 10);

    public TimeSpan? For { get; private init; }

    public int Seed { get; private init; } = RandomNumberGenerator.GetInt32(1_000_000);

    public string? Machine { get; private init; }

    public int PerMachine { get; private init; } = 100;

    public int? Only { get; private init; }

    public int Parallel { get; private init; } = 3;

    public bool ForgetWrites { get; private init; }

    /// <exception cref="FormatException">It makes no sense; the message says what.</exception>
    public static Arguments Parse(IReadOnlyList<string> args)
    {
        var arguments = new Arguments();
        for (var i = 0; i < args.Count; i++)
        {
            string Value() => ++i < args.Count ? args[i] : throw new FormatException($"{args[i - 1]} needs a value");
            int Number(int least) => int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least
                ? number
                : throw new FormatException($"{args[i - 1]} needs a number from {least} on, not '{args[i]}'");
            arguments = args[i] switch
            {
                "--checkpoints" => arguments with { Checkpoints = Number(1) },
                "--restores" => arguments with { GivenRestores = Number(0) },
                "--for" => arguments with { For = Seconds(Value()) },
                "--seed" => arguments with { Seed = Number(0) },
                "--machine" => arguments with { Machine = Value() is var machine and ("kvm" or "sim" or "both") ? machine : throw new FormatException($"'{args[i]}' is no machine: kvm, sim or both") },
                "--per-machine" => arguments with { PerMachine = Number(1) },
                "--only" => arguments with { Only = Number(0) },
                "--parallel" => arguments with { Parallel = Number(1) },
                "--forget-writes" => arguments with { ForgetWrites = true },
                var other => throw new FormatException($"'{other}' means nothing here"),
            };
        }

        return arguments;
    }

    private static TimeSpan Seconds(string value) =>
        value.EndsWith('s') && double.TryParse(value[..^1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)
            ? TimeSpan.FromSeconds(seconds)
            : throw new FormatException($"'{value}' is no time, such as 30s");
}
