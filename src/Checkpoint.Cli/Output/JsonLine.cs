using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Checkpoint.Cli.Output;

/// <summary>Writes one object a line.</summary>
internal static class JsonLine
{
    /// <summary>Writes the object, its line end and nothing else, and flushes: whoever reads may rely on it from here on.</summary>
    public static void Write<T>(TextWriter writer, T line, JsonTypeInfo<T> type)
    {
        // One call for text and line end: a process that is killed in between would leave a line without an end.
        writer.Write(Of(line, type));
        writer.Flush();
    }

    /// <summary>The line with its end.</summary>
    public static string Of<T>(T line, JsonTypeInfo<T> type) => JsonSerializer.Serialize(line, type) + "\n";
}
