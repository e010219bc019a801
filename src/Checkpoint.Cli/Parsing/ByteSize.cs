using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Checkpoint.Cli.Parsing;

/// <summary>Sizes as people write them: <c>64MiB</c>, <c>4096</c>.</summary>
internal static class ByteSize
{
    // Longest first: "B" ends all the others. The text must not end in a unit that means something else to somebody, such as MB.
    private static readonly (string Unit, ulong Bytes)[] s_units =
    [
        ("TiB", 1UL << 40), ("GiB", 1UL << 30), ("MiB", 1UL << 20), ("KiB", 1UL << 10), ("B", 1),
    ];

    /// <summary>Reads a size.</summary>
    /// <param name="text">A whole number, alone for bytes or with B, KiB, MiB, GiB or TiB right behind it.</param>
    /// <param name="bytes">The size in bytes.</param>
    /// <param name="reason">One line that says why it is none.</param>
    public static bool TryParse(string text, out ulong bytes, [NotNullWhen(false)] out string? reason)
    {
        var digits = text;
        var factor = 1UL;
        foreach (var (unit, size) in s_units)
        {
            if (!text.EndsWith(unit, StringComparison.OrdinalIgnoreCase))
                continue;
            digits = text[..^unit.Length];
            factor = size;
            break;
        }

        bytes = 0;
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            reason = $"'{text}' is no size: write a whole number with KiB, MiB or GiB, such as 64MiB";
            return false;
        }

        if (number > ulong.MaxValue / factor)
        {
            reason = $"'{text}' is too large";
            return false;
        }

        bytes = number * factor;
        reason = null;
        return true;
    }

    /// <summary>A size for a person: in the largest unit that leaves a number from 1.</summary>
    public static string Format(long bytes)
    {
        foreach (var (unit, size) in s_units)
        {
            if (unit == "B" || (ulong)bytes < size)
                continue;
            var value = bytes / (double)size;
            return value.ToString(value == Math.Floor(value) ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + unit;
        }

        return bytes.ToString(CultureInfo.InvariantCulture) + " B";
    }
}
