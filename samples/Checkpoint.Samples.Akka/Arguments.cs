using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Samples.Akka;

/// <summary>What was typed.</summary>
internal sealed record Arguments
{
    public const string Usage =
        "usage: checkpoint-akka [--database PATH] [--vm NAME] [--guest ledger|counter] [--vcpus N] [--every MS] [--for MS] [--checkpoints N] [--keep N] [--from NUMBER|latest]";

    public string Database { get; private init; } = "checkpoints.db";

    public string Vm { get; private init; } = "a";

    public GuestKind Guest { get; private init; } = GuestKind.Ledger;

    public int Vcpus { get; private init; } = 2;

    public TimeSpan Every { get; private init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan For { get; private init; } = TimeSpan.FromSeconds(5);

    /// <summary>End after so many committed checkpoints; null for the time alone.</summary>
    public int? Checkpoints { get; private init; }

    public int? Keep { get; private init; }

    /// <summary>The checkpoint to go on from: a number or <c>latest</c>; null for a machine that begins anew.</summary>
    public string? From { get; private init; }

    public static bool TryRead(string[] args, [NotNullWhen(true)] out Arguments? arguments, [NotNullWhen(false)] out string? wrong)
    {
        arguments = new Arguments();
        wrong = null;
        for (var i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !TryTake(ref arguments, args[i], args[i + 1]))
            {
                wrong = $"'{string.Join(' ', args.Skip(i).Take(2))}' is not understood";
                arguments = null;
                return false;
            }
        }

        return true;
    }

    private static bool TryTake(ref Arguments arguments, string name, string value)
    {
        var isNumber = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0;
        var read = name switch
        {
            "--database" => arguments with { Database = Path.GetFullPath(value) },
            "--vm" => arguments with { Vm = value },
            "--guest" when Enum.TryParse<GuestKind>(value, ignoreCase: true, out var kind) => arguments with { Guest = kind },
            "--vcpus" when isNumber => arguments with { Vcpus = number },
            "--every" when isNumber => arguments with { Every = TimeSpan.FromMilliseconds(number) },
            "--for" when isNumber => arguments with { For = TimeSpan.FromMilliseconds(number) },
            "--checkpoints" when isNumber => arguments with { Checkpoints = number },
            "--keep" when isNumber => arguments with { Keep = number },
            "--from" when isNumber || value == "latest" => arguments with { From = value },
            _ => null,
        };
        arguments = read ?? arguments;
        return read is not null;
    }
}
