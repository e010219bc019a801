using Spectre.Console;

namespace Checkpoint.Cli.Output;

/// <summary>Makes the console that tables are drawn on.</summary>
internal static class TableConsole
{
    // A file or a pipe has no width: nothing is to be wrapped or cut there.
    private const int WidthOfFiles = 1000;

    public static IAnsiConsole On(TextWriter writer, bool isTerminal)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = isTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        if (!isTerminal)
            console.Profile.Width = WidthOfFiles;
        return console;
    }

    /// <summary>A table without frames, as other tools of this kind draw theirs.</summary>
    public static Table NewTable(params string[] columns)
    {
        var table = new Table { Border = TableBorder.None, ShowHeaders = true };
        foreach (var column in columns)
        {
            var isNumber = column.StartsWith('>');
            var drawn = new TableColumn(new Text(column.TrimStart('>'))) { NoWrap = true, Padding = new Padding(0, 0, 2, 0) };
            table.AddColumn(isNumber ? drawn.RightAligned() : drawn);
        }

        return table;
    }

    /// <summary>Adds a row of plain text: nothing in it is markup.</summary>
    public static void AddCells(this Table table, params string[] cells) => table.AddRow(cells.Select(cell => new Text(cell)));
}
