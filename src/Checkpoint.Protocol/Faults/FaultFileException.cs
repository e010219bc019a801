namespace Checkpoint.Protocol.Faults;

/// <summary>A text is no list of faults. The message is one line: the file, the line and column, what is wrong there, what to write.</summary>
public sealed class FaultFileException(string source, int line, int column, string what)
    : Exception($"{source}: line {line}, column {column}: {what}")
{
    /// <summary>The line, from 1.</summary>
    public int Line { get; } = line;

    /// <summary>The column in bytes, from 1.</summary>
    public int Column { get; } = column;
}
