using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>SQLite gave an error. It never leaves the journal: there it becomes an outcome, or an exception that names the machine.</summary>
internal sealed class SqliteFault(int code) : Exception($"{raw.sqlite3_errstr(code).utf8_to_string()} (SQLite result {code})")
{
    /// <summary>The extended result code.</summary>
    public int Code { get; } = code;

    /// <summary>The primary result code: the low byte.</summary>
    public int Primary => Code & 0xff;

    public static void Check(int code)
    {
        if (code != raw.SQLITE_OK)
            throw new SqliteFault(code);
    }
}
