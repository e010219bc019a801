using System.Globalization;
using System.Text;

namespace Checkpoint.Simulation.Faults;

/// <summary>How often each fault has struck, by kind and by phase of the round.</summary>
internal sealed class FaultTable
{
    private static readonly FaultKind[] s_kinds = Enum.GetValues<FaultKind>();
    private static readonly Stage[] s_stages = Enum.GetValues<Stage>();

    private readonly long[,] _hits = new long[s_kinds.Length, s_stages.Length];

    public void Count(FaultKind kind, Stage when) => _hits[(int)kind, (int)when]++;

    public void Add(FaultTable other)
    {
        foreach (var kind in s_kinds)
        {
            foreach (var when in s_stages)
                _hits[(int)kind, (int)when] += other._hits[(int)kind, (int)when];
        }
    }

    /// <summary>The cells that could have been hit and were not.</summary>
    public IReadOnlyList<(FaultKind Kind, Stage When)> Empty => [.. FaultCells.All.Where(cell => _hits[(int)cell.Kind, (int)cell.When] == 0)];

    public long Total => _hits.Cast<long>().Sum();

    public override string ToString()
    {
        const int NameWidth = 17;
        var text = new StringBuilder("fault".PadRight(NameWidth));
        foreach (var when in s_stages)
            text.Append(Heading(when));
        text.AppendLine();
        var notes = new List<string>();
        foreach (var kind in s_kinds)
        {
            text.Append(kind.ToString().PadRight(NameWidth));
            var note = 0;
            foreach (var when in s_stages)
            {
                var hits = _hits[(int)kind, (int)when];
                var isPossible = FaultCells.IsPossible(kind, when);
                if (!isPossible && note == 0)
                    note = NoteOf(notes, FaultCells.ReasonOf(kind));
                var cell = isPossible || hits > 0 ? hits.ToString(CultureInfo.InvariantCulture) : $"({note})";
                text.Append(cell.PadLeft(Heading(when).Length));
            }

            text.AppendLine();
        }

        for (var i = 0; i < notes.Count; i++)
            text.AppendLine($"({i + 1}) impossible: {notes[i]}");
        return text.ToString();
    }

    private static string Heading(Stage when) => when.ToString().PadLeft(Math.Max(9, when.ToString().Length + 1));

    private static int NoteOf(List<string> notes, string reason)
    {
        var known = notes.IndexOf(reason);
        if (known >= 0)
            return known + 1;
        notes.Add(reason);
        return notes.Count;
    }
}
