namespace Checkpoint.Protocol.Faults;

/// <summary>What somebody who mistyped a name may have meant.</summary>
internal static class NearestNames
{
    private const int Most = 3;
    private const int MostLetters = 60;

    /// <summary>What somebody typed, for a message of one line: not longer than that, and nothing in it that a terminal would obey.</summary>
    public static string Shown(string typed)
    {
        var shown = string.Concat(typed.Take(MostLetters).Select(letter => char.IsControl(letter) ? '?' : letter));
        return typed.Length > MostLetters ? shown + "…" : shown;
    }

    /// <summary>The names with the fewest letters to change, add or drop, capitals aside.</summary>
    public static IEnumerable<string> Of(string typed, IReadOnlyList<string> names) =>
        names.Select(name => (Name: name, Distance: Distance(typed[..Math.Min(typed.Length, MostLetters)].ToUpperInvariant(), name.ToUpperInvariant())))
            .OrderBy(each => each.Distance).ThenBy(each => each.Name, StringComparer.Ordinal)
            .Take(Most).Select(each => each.Name);

    // Levenshtein's, with one row of the table.
    private static int Distance(string from, string to)
    {
        var row = new int[to.Length + 1];
        for (var j = 0; j <= to.Length; j++)
            row[j] = j;
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
            {
                var change = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[to.Length];
    }
}
