using System.Runtime.CompilerServices;
using System.Text;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation;

/// <summary>What happened, a line each, for a person. Kept on request only: most histories are never read.</summary>
internal sealed class History(Scheduler scheduler, bool isKept)
{
    private readonly StringBuilder _lines = new();

    public bool IsKept => isKept;

    /// <summary>Adds a line.</summary>
    /// <param name="who">Who did it.</param>
    /// <param name="what">What.</param>
    public void Note(string who, [InterpolatedStringHandlerArgument("")] Line what)
    {
        if (isKept)
            _lines.Append($"{scheduler.NowUs,9} us  {who,-12} {what.Text.ToStringAndClear()}\n");
    }

    public override string ToString() => _lines.ToString();

    /// <summary>A line that is only put together where somebody will read it.</summary>
    [InterpolatedStringHandler]
    internal ref struct Line
    {
        public DefaultInterpolatedStringHandler Text;

        public Line(int literalLength, int formattedCount, History history, out bool isWanted)
        {
            isWanted = history.IsKept;
            Text = isWanted ? new DefaultInterpolatedStringHandler(literalLength, formattedCount) : default;
        }

        public void AppendLiteral(string text) => Text.AppendLiteral(text);

        public void AppendFormatted<T>(T value) => Text.AppendFormatted(value);

        public void AppendFormatted<T>(T value, string format) => Text.AppendFormatted(value, format);
    }
}
