using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Checkpoint.Cli.Parsing;

/// <summary>Durations as people write them: <c>100ms</c>, <c>1.5s</c>, <c>5m</c>, <c>2h</c>.</summary>
internal static class Duration
{
    /// <summary>The longest: a timer of the system holds a little more.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(30);

    /// <summary>The shortest.</summary>
    public static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);

    // More milliseconds than the longest duration has; it also keeps the product below what a number can hold.
    private const decimal MostOfAnyUnit = 1e12m;

    // "ms" before "s" and "m": the first that matches is taken.
    private static readonly (string Unit, decimal Milliseconds)[] s_units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

    /// <summary>Reads a duration.</summary>
    /// <param name="text">A number with ms, s, m or h right behind it.</param>
    /// <param name="duration">The duration.</param>
    /// <param name="reason">One line that says why it is none.</param>
    /// <param name="longest">The longest that may be written, in whole hours; null for <see cref="Longest"/>.</param>
    public static bool TryParse(string text, out TimeSpan duration, [NotNullWhen(false)] out string? reason, TimeSpan? longest = null)
    {
        duration = default;
        var most = longest ?? Longest;
        reason = $"'{text}' is no duration: write a number with ms, s, m or h, such as 100ms";
        foreach (var (unit, milliseconds) in s_units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal))
                continue;
            if (!decimal.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
                return false;
            var total = (double)(Math.Min(number, MostOfAnyUnit) * milliseconds);
            if (total < Shortest.TotalMilliseconds || total > most.TotalMilliseconds)
            {
                reason = string.Create(CultureInfo.InvariantCulture, $"'{text}' is out of range: write a duration from 1ms to {most.TotalHours:0}h");
                return false;
            }

            duration = TimeSpan.FromMilliseconds(total);
            reason = null;
            return true;
        }

        return false;
    }

    /// <summary>A time for a person, with three digits or so.</summary>
    public static string Format(TimeSpan time) => time switch
    {
        { TotalMilliseconds: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMicroseconds:0} µs"),
        { TotalMilliseconds: < 10 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.00} ms"),
        { TotalMilliseconds: < 1000 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.#} ms"),
        { TotalSeconds: < 120 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s"),
        { TotalMinutes: < 120 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMinutes:0} min"),
        { TotalHours: < 48 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalHours:0} h"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{time.TotalDays:0} days"),
    };

    /// <summary>A number of microseconds for a person.</summary>
    public static string FormatUs(long microseconds) => Format(TimeSpan.FromMicroseconds(microseconds));
}
