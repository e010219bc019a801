using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>
/// What SQLite's result codes mean for an append.
/// <para>
/// Before COMMIT nothing can be durable: pages that spill into the WAL early carry no commit mark, and readers and recovery stop
/// at the last mark. So every error there is a refusal, whatever it is, except a violated unique constraint: then another writer
/// put a row where ours should be. A constraint of another kind (a trigger that somebody added) is a refusal.
/// </para>
/// <para>
/// COMMIT writes the frame with the commit mark and then syncs the WAL. SQLITE_BUSY and SQLITE_LOCKED come before the first
/// write. SQLITE_FULL comes of a write that the disk had no room for: the frame with the mark is the last one and its checksum is
/// wrong when cut short, so recovery passes it over. SQLITE_READONLY and SQLITE_NOMEM can also come before writing, but nothing
/// says that they only do; they and all others, SQLITE_IOERR_FSYNC above all, leave open whether the mark is on the disk: unknown.
/// </para>
/// <para>
/// After an unknown outcome, and after an IO error anywhere, the connection is closed: the next call opens a new one, which reads
/// the WAL again from the file, and finds the append there or not.
/// </para>
/// </summary>
internal static class SqliteResults
{
    private const int ConstraintUnique = raw.SQLITE_CONSTRAINT | (8 << 8);
    private const int ConstraintPrimaryKey = raw.SQLITE_CONSTRAINT | (6 << 8);

    /// <summary>The outcome of an append whose transaction failed before COMMIT and was rolled back.</summary>
    public static AppendOutcome BeforeCommit(int code, string reason) => code is ConstraintUnique or ConstraintPrimaryKey
        ? new AppendOutcome.Conflict(reason)
        : new AppendOutcome.Refused(reason, Primary(code) == raw.SQLITE_FULL);

    /// <summary>The outcome of an append whose COMMIT failed.</summary>
    public static AppendOutcome AtCommit(int code, string reason) => IsKnownAtCommit(code)
        ? new AppendOutcome.Refused(reason, Primary(code) == raw.SQLITE_FULL)
        : new AppendOutcome.Unknown(reason);

    /// <summary>Whether a COMMIT that gave this has certainly written nothing.</summary>
    public static bool IsKnownAtCommit(int code) => Primary(code) is raw.SQLITE_BUSY or raw.SQLITE_LOCKED or raw.SQLITE_FULL;

    /// <summary>Whether a connection that saw this code is not to be trusted any longer.</summary>
    public static bool SpoilsConnection(int code) =>
        Primary(code) is raw.SQLITE_IOERR or raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB or raw.SQLITE_CANTOPEN or raw.SQLITE_PROTOCOL;

    private static int Primary(int code) => code & 0xff;
}
