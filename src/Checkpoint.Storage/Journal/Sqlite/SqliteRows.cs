using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>Rows of the tables to values, and snapshots to rows.</summary>
internal static class SqliteRows
{
    /// <summary>All rows of a bound statement, which is reset afterwards so that it holds no read transaction.</summary>
    public static List<T> All<T>(SqliteStatement statement, Func<SqliteStatement, T> read)
    {
        var rows = new List<T>();
        try
        {
            while (statement.Step())
                rows.Add(read(statement));
        }
        finally
        {
            statement.Reset();
        }

        return rows;
    }

    public static JournalRow Event(SqliteStatement row) =>
        new(row.Integer(0), row.IsNull(1) ? null : (int)row.Integer(1), row.Text(2), row.Blob(3).ToArray());

    public static SnapshotRow Snapshot(SqliteStatement row) =>
        new(row.Integer(0), row.IsNull(1) ? null : (int)row.Integer(1), row.Text(2), row.Blob(3).ToArray());

    /// <summary>Stores a snapshot and drops the oldest, in one transaction.</summary>
    public static void Save(SqliteSession session, string stream, SnapshotRow snapshot, long created)
    {
        session.Statement("begin").Run();
        session.Statement("save-snapshot")
            .Bind(1, stream)
            .Bind(2, snapshot.SequenceNumber)
            .Bind(3, created)
            .Bind(4, snapshot.Bytes.Span)
            .Bind(5, snapshot.Manifest)
            .Bind(6, snapshot.Serializer)
            .Run();
        session.Statement("drop-old-snapshots").Bind(1, stream).Run();
        SqliteFault.Check(session.Statement("commit").TryRun());
    }
}
