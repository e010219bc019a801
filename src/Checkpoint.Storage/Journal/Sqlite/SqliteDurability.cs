using System.Diagnostics;
using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>
/// Brings all that a reader sees to the disk, by writing it again.
/// <para>
/// When the sync of a commit fails, the kernel may drop the WAL's pages as if they were written and still show them to every
/// reader; another sync of the WAL then succeeds and proves nothing. So the pages are copied from the WAL into the database file
/// and that is synced: these are new writes, whose failure cannot hide. A checkpoint does so, and gives an error, or busy, where it
/// did not get to the end.
/// </para>
/// <para>
/// The old WAL must not come back after a power cut: without its lost frames it would show older pages in front of the newer ones
/// in the database file. SQLite syncs neither the WAL's truncation nor its removal, so both are synced here.
/// </para>
/// </summary>
internal static class SqliteDurability
{
    private static readonly TimeSpan _step = TimeSpan.FromMilliseconds(50);

    /// <summary>Returns when it is all on the disk.</summary>
    /// <param name="path">The database file.</param>
    /// <param name="patience">For how long others may keep it busy.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="SqliteFault">SQLite gave an error.</exception>
    /// <exception cref="StoreException">Others kept the store busy, or a sync failed.</exception>
    public static async Task ProveAsync(string path, TimeSpan patience, CancellationToken cancellationToken)
    {
        // A connection of its own, with nothing cached; it waits inside SQLite for one step at most, as nobody could cancel it there.
        using var session = SqliteSession.Open(path, readOnly: false);
        raw.sqlite3_busy_timeout(session.Handle, (int)_step.TotalMilliseconds);
        session.Script("PRAGMA synchronous = FULL");
        for (var started = Stopwatch.GetTimestamp(); ; await Task.Delay(_step, cancellationToken).ConfigureAwait(false))
        {
            if (await Task.Run(() => TryCopy(path, session), cancellationToken).ConfigureAwait(false))
                break;
            if (Stopwatch.GetElapsedTime(started) > patience)
                throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot prove what is on its disk, another process keeps it busy; try again");
        }

        try
        {
            SyncLog(path + "-wal");
            FileSync.Folder(Path.GetDirectoryName(path)!);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot prove what is on its disk: {SystemMessages.Of(exception)}; check the disk", exception);
        }
    }

    private static bool TryCopy(string path, SqliteSession session)
    {
        try
        {
            if (session.Column("PRAGMA journal_mode") is not ["wal"])
                throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot prove what is on its disk, it keeps no write-ahead log; open it again");

            // The first column is 0 where all frames were copied and the log is empty.
            return session.Column("PRAGMA wal_checkpoint(TRUNCATE)") is ["0"];
        }
        catch (SqliteFault fault) when (fault.Primary is raw.SQLITE_BUSY or raw.SQLITE_LOCKED)
        {
            return false;
        }
    }

    /// <summary>
    /// Syncs the truncation. SQLite has no locks on this file; on the database file and its -shm it has, and closing a descriptor
    /// of ours there would drop them.
    /// </summary>
    private static void SyncLog(string path)
    {
        if (!File.Exists(path))
            return;
        using var log = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        FileSync.File(log);
    }
}
