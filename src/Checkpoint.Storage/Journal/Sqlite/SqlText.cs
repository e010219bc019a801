using System.Collections.Concurrent;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>The <c>.sql</c> files that lie beside this code, embedded in the assembly.</summary>
internal static class SqlText
{
    private static readonly ConcurrentDictionary<string, string> _texts = new(StringComparer.Ordinal);

    public static string Of(string name) => _texts.GetOrAdd(name, Read);

    private static string Read(string name)
    {
        using var stream = typeof(SqlText).Assembly.GetManifestResourceStream("Sqlite/" + name)
            ?? throw new System.Diagnostics.UnreachableException($"There is no {name}.sql.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
