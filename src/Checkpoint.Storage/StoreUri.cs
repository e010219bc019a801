namespace Checkpoint.Storage;

/// <summary>Where a store is, as people write it: <c>sqlite:PATH</c> or <c>memory:</c>.</summary>
/// <param name="SqlitePath">The full path of the database, links resolved; null for a store in memory.</param>
public sealed record StoreUri(string? SqlitePath)
{
    /// <summary>What is used where nothing is named.</summary>
    public const string Default = "sqlite:checkpoints.db";

    private const string Sqlite = "sqlite:";

    /// <summary>Reads a store's URI.</summary>
    /// <exception cref="StoreException">It is none, or of a kind that is not supported.</exception>
    public static StoreUri Parse(string? text)
    {
        text = string.IsNullOrEmpty(text) ? Default : text;
        if (text == "memory:")
            return new StoreUri(SqlitePath: null);
        if (text.StartsWith("postgres:", StringComparison.OrdinalIgnoreCase) || text.StartsWith("postgresql:", StringComparison.OrdinalIgnoreCase))
            throw new StoreException(StoreFailure.BadUri, "PostgreSQL stores are not supported yet; use sqlite:PATH");
        if (!text.StartsWith(Sqlite, StringComparison.Ordinal) || text.Length == Sqlite.Length)
            throw new StoreException(StoreFailure.BadUri, $"'{text}' is no store; use sqlite:PATH or memory:");

        // SQLite's own names for stores that are no plain files would become the names of files.
        var name = text[Sqlite.Length..];
        if (name == ":memory:")
            throw new StoreException(StoreFailure.BadUri, $"'{text}' is no path; use memory: for a store in memory, or sqlite:./{name} for a file of that name");
        if (name.StartsWith("file:", StringComparison.OrdinalIgnoreCase))
            throw new StoreException(StoreFailure.BadUri, $"'{text}' names an SQLite URI and not a path; use sqlite:PATH");
        if (name.Contains('\0') || string.IsNullOrWhiteSpace(name))
            throw new StoreException(StoreFailure.BadUri, $"'{text.Replace('\0', '?')}' has no path; use sqlite:PATH or memory:");

        // Two names of one database must lead to the same locks and segments beside it.
        var path = Path.GetFullPath(name);
        return new StoreUri(File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is { } target ? target.FullName : path);
    }
}
