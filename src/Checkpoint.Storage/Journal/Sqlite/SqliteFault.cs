using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>SQLite gave an error. It never leaves the journal: there it becomes an outcome, or an exception that names the machine.</summary>
internal sealed class SqliteFault(int code) : Exception($"{raw.sqlite3_errstr(code).utf8_to_string()} (SQLite result {code})")
{
    /// <summary>The extended result code.</summary>
    public int Code { get; } = code;

    /// <summary>The primary result code: the low byte.</summary>
    public int Primary => Code & 0xff;

    /// <summary>What to do about it; for an IO error by the call in which it came.</summary>
    public string Advice => Code switch
    {
        raw.SQLITE_IOERR_WRITE or raw.SQLITE_IOERR_TRUNCATE or raw.SQLITE_IOERR_SHMSIZE or raw.SQLITE_IOERR_SHMMAP or raw.SQLITE_IOERR_SHMOPEN =>
            "the disk may be full, or the folder not writable: free some space and check its permissions",
        raw.SQLITE_IOERR_LOCK or raw.SQLITE_IOERR_UNLOCK or raw.SQLITE_IOERR_RDLOCK or raw.SQLITE_IOERR_CHECKRESERVEDLOCK or raw.SQLITE_IOERR_SHMLOCK =>
            "its file system may have no locks: put it on a local one",
        _ when Primary is raw.SQLITE_FULL => "free some space",
        _ when Primary is raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB => "restore the file from a backup",
        _ when Primary is raw.SQLITE_CANTOPEN or raw.SQLITE_READONLY or raw.SQLITE_PERM => "check the path and its permissions",
        raw.SQLITE_IOERR_ACCESS => "check the path and its permissions",
        raw.SQLITE_IOERR_NOMEM => "there is not enough memory; free some",
        _ => "check the disk and the system's log",
    };

    public static void Check(int code)
    {
        if (code != raw.SQLITE_OK)
            throw new SqliteFault(code);
    }
}
