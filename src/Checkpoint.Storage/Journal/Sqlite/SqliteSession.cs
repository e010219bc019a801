using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>One open connection with its prepared statements. Used by one thread at a time.</summary>
internal sealed class SqliteSession : IDisposable
{
    /// <summary>How long a statement waits for another process's transaction before it gives SQLITE_BUSY.</summary>
    private const int BusyTimeoutMs = 5000;

    private readonly Dictionary<string, SqliteStatement> _statements = new(StringComparer.Ordinal);
    private readonly sqlite3 _database;

    static SqliteSession() => Batteries_V2.Init();

    private SqliteSession(sqlite3 database) => _database = database;

    /// <summary>SQLite's own connection.</summary>
    public sqlite3 Handle => _database;

    /// <summary>The store's random id, once the opening has read it; null for a store without one.</summary>
    public string? StoreId { get; set; }

    /// <summary>Whether SQLite could open the file only for reading.</summary>
    public bool IsReadOnly => raw.sqlite3_db_readonly(_database, "main") != 0;

    /// <summary>Whether a transaction is open.</summary>
    public bool InTransaction => raw.sqlite3_get_autocommit(_database) == 0;

    /// <summary>Opens an existing file.</summary>
    /// <exception cref="SqliteFault">It cannot be opened.</exception>
    public static SqliteSession Open(string path, bool readOnly)
    {
        // The journal lets one thread in at a time, so SQLite's own mutexes would only cost.
        var flags = (readOnly ? raw.SQLITE_OPEN_READONLY : raw.SQLITE_OPEN_READWRITE) | raw.SQLITE_OPEN_NOMUTEX;
        var code = raw.sqlite3_open_v2(path, out var database, flags, null);
        if (code != raw.SQLITE_OK)
        {
            database?.Dispose();
            throw new SqliteFault(code);
        }

        raw.sqlite3_extended_result_codes(database, 1);
        raw.sqlite3_busy_timeout(database, BusyTimeoutMs);
        return new SqliteSession(database);
    }

    /// <summary>The prepared statement of an embedded <c>.sql</c> file. The caller resets it when done with its rows.</summary>
    public SqliteStatement Statement(string name)
    {
        if (!_statements.TryGetValue(name, out var statement))
            _statements[name] = statement = Prepare(SqlText.Of(name));
        return statement;
    }

    /// <summary>Prepares a statement that the caller disposes.</summary>
    public SqliteStatement Prepare(string sql)
    {
        SqliteFault.Check(raw.sqlite3_prepare_v3(_database, sql, raw.SQLITE_PREPARE_PERSISTENT, out var handle));
        return new SqliteStatement(handle);
    }

    /// <summary>Runs a script of statements that give no rows of interest.</summary>
    public void Script(string sql) => SqliteFault.Check(raw.sqlite3_exec(_database, sql));

    /// <summary>The first column of all rows of a statement, as text.</summary>
    public List<string> Column(string sql)
    {
        using var statement = Prepare(sql);
        var values = new List<string>();
        while (statement.Step())
            values.Add(statement.Text(0) ?? "");
        return values;
    }

    /// <summary>Closes the connection; an open transaction is rolled back by that.</summary>
    public void Dispose()
    {
        foreach (var statement in _statements.Values)
            statement.Dispose();
        _database.Dispose();
    }
}
