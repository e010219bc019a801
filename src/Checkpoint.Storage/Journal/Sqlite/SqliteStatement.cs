using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>A prepared statement, bound, stepped and reset again and again by one thread at a time.</summary>
internal sealed class SqliteStatement(sqlite3_stmt handle) : IDisposable
{
    public SqliteStatement Bind(int index, long value)
    {
        SqliteFault.Check(raw.sqlite3_bind_int64(handle, index, value));
        return this;
    }

    public SqliteStatement Bind(int index, string? value)
    {
        SqliteFault.Check(value is null ? raw.sqlite3_bind_null(handle, index) : raw.sqlite3_bind_text(handle, index, value));
        return this;
    }

    /// <summary>Binds a copy of the bytes. No bytes are a blob of length zero, not a null.</summary>
    public SqliteStatement Bind(int index, ReadOnlySpan<byte> value)
    {
        SqliteFault.Check(value.IsEmpty ? raw.sqlite3_bind_zeroblob(handle, index, 0) : raw.sqlite3_bind_blob(handle, index, value));
        return this;
    }

    public SqliteStatement Bind(int index, int? value)
    {
        SqliteFault.Check(value is { } number ? raw.sqlite3_bind_int64(handle, index, number) : raw.sqlite3_bind_null(handle, index));
        return this;
    }

    /// <summary>Goes to the next row; false when there is none.</summary>
    public bool Step()
    {
        var code = raw.sqlite3_step(handle);
        if (code == raw.SQLITE_ROW)
            return true;
        if (code != raw.SQLITE_DONE)
            throw new SqliteFault(code);
        return false;
    }

    /// <summary>Runs a statement that gives no rows.</summary>
    /// <returns>SQLite's extended result code; SQLITE_OK when it ran.</returns>
    public int TryRun()
    {
        var code = raw.sqlite3_step(handle);
        Reset();
        return code is raw.SQLITE_DONE or raw.SQLITE_ROW ? raw.SQLITE_OK : code;
    }

    /// <summary>Runs a statement that gives no rows.</summary>
    public void Run() => SqliteFault.Check(TryRun());

    public long Integer(int column) => raw.sqlite3_column_int64(handle, column);

    public bool IsNull(int column) => raw.sqlite3_column_type(handle, column) == raw.SQLITE_NULL;

    public string? Text(int column) => IsNull(column) ? null : raw.sqlite3_column_text(handle, column).utf8_to_string();

    /// <summary>The bytes of a column, valid until the next step or reset.</summary>
    public ReadOnlySpan<byte> Blob(int column) => raw.sqlite3_column_blob(handle, column);

    /// <summary>Ends the statement's read transaction and makes it ready for another run. Its own result is that of the step before.</summary>
    public void Reset() => raw.sqlite3_reset(handle);

    public void Dispose() => handle.Dispose();
}
