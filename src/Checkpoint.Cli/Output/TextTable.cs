using Spectre.Console;

namespace Checkpoint.Cli.Output;

/// <summary>
/// A table of plain text without frames, as other tools of this kind draw theirs. No cell is wrapped or cut, whatever the
/// terminal's width: numbers and digests are there to be read and copied.
/// </summary>
internal sealed class TextTable
{
    private const int Unlimited = 10_000;

    private readonly Table _table = new() { Border = TableBorder.None };

    /// <param name="columns">The heads of the columns; one that begins with &gt; has numbers, which stand at its right.</param>
    public TextTable(params ReadOnlySpan<string> columns)
    {
        foreach (var column in columns)
        {
            var drawn = new TableColumn(new Text(column.TrimStart('>'))) { NoWrap = true, Padding = new Padding(0, 0, 2, 0) };
            _table.AddColumn(column.StartsWith('>') ? drawn.RightAligned() : drawn);
        }
    }

    /// <summary>A table of names and values, which needs no heads.</summary>
    public static TextTable OfValues()
    {
        var table = new TextTable("name", "value");
        table._table.ShowHeaders = false;
        return table;
    }

    /// <summary>Adds a row. Nothing in it is markup.</summary>
    public void Add(params IEnumerable<string> cells) => _table.AddRow(cells.Select(cell => new Text(cell)));

    /// <summary>Writes the table, without blanks at the ends of lines.</summary>
    public void WriteTo(TextWriter writer)
    {
        using var drawn = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(drawn),
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        console.Profile.Width = Unlimited;
        console.Write(_table);
        foreach (var line in drawn.ToString().TrimEnd().Split('\n'))
            writer.Write(line.TrimEnd() + "\n");
        writer.Flush();
    }
}
