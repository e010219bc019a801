using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>
/// Opens the file, makes the tables where they are missing, and refuses what is not ours. A database with other tables is
/// accepted and they are left alone: an application may keep the journal in its own database. A table with one of our names and
/// another shape is refused, and so is a schema newer than this program.
/// </summary>
internal static class SqliteOpening
{
    private const int SchemaVersion = 1;
    private const int WriteAheadLogAttempts = 100;
    private const string Identity = "checkpoint_store";
    private const string Ahead = "state_document_ahead";

    private static readonly (string Table, string[] Columns)[] _tables =
    [
        ("journal", ["ordering", "created", "deleted", "persistence_id", "sequence_number", "message", "manifest", "identifier", "writer_uuid"]),
        ("tags", ["ordering_id", "tag", "sequence_nr", "persistence_id"]),
        ("snapshot", ["persistence_id", "sequence_number", "created", "snapshot", "manifest", "serializer_id"]),
        ("state_document", ["persistence_id", "number", "created", "document"]),
        ("checkpoint_schema", ["version"]),
    ];

    /// <summary>These came later: a reader does without them, a writer adds them.</summary>
    private static readonly (string Table, string[] Columns)[] _later =
    [
        (Identity, ["only", "id"]),
        (Ahead, ["persistence_id", "number", "sequence_number"]),
    ];

    /// <summary>Opens the file for reading. Nothing is created.</summary>
    /// <exception cref="StoreException">There is no such store, or it is not one that this program can read.</exception>
    public static SqliteSession ForReading(string path)
    {
        if (!File.Exists(path))
            throw new StoreException(StoreFailure.NotFound, $"there is no store at {path}; name another with --store");
        return Guarded(path, () => SqliteSession.Open(path, readOnly: true), session =>
        {
            if (CheckTables(path, session).Count < _tables.Length)
                throw new StoreException(StoreFailure.NotFound, $"the database {path} holds no checkpoints; name another with --store");
            session.StoreId = StoreIdOf(session);
        });
    }

    /// <summary>Opens the file for reading and writing, and creates it with its tables where they are missing.</summary>
    /// <exception cref="StoreException">The file cannot be written, or it is not a store that this program can write.</exception>
    public static SqliteSession ForWriting(string path)
    {
        var created = Create(path);
        return Guarded(path, () => SqliteSession.Open(path, readOnly: false), session =>
        {
            // SQLite falls back to reading when a file is not writable; that would come to light at the first append only.
            if (session.IsReadOnly)
                throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot be written; check its permissions");
            var complete = CheckTables(path, session).Count == _tables.Length && StoreIdOf(session) is not null && NotesDocumentsAhead(session);
            UseWriteAheadLog(path, session);
            session.Script("PRAGMA synchronous = FULL");
            if (!complete)
                session.Script($"BEGIN IMMEDIATE; {SqlText.Of("schema")} COMMIT;");
            session.StoreId = StoreIdOf(session);
            if (created)
                FileSync.Folder(Path.GetDirectoryName(path)!);
        });
    }

    /// <summary>Whether the store has a place for documents that were stored before their event.</summary>
    public static bool NotesDocumentsAhead(SqliteSession session) => Has(session, Ahead);

    /// <summary>The random id of an opened store; null where it has none.</summary>
    private static string? StoreIdOf(SqliteSession session) =>
        Has(session, Identity) ? session.Column($"SELECT id FROM {Identity} WHERE only = 1").FirstOrDefault() : null;

    private static bool Has(SqliteSession session, string table) => session.Column($"SELECT 1 FROM sqlite_master WHERE name = '{table}'").Count > 0;

    /// <summary>
    /// The change of the journal mode does not wait for others, it fails at once. So where several create the store at the same
    /// time, each waits in a transaction that does wait, and looks again: one has made the change by then.
    /// </summary>
    private static void UseWriteAheadLog(string path, SqliteSession session)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                if (session.Column("PRAGMA journal_mode") is ["wal"] || session.Column("PRAGMA journal_mode = WAL") is ["wal"])
                    return;
                throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot keep a write-ahead log; put it on a local file system");
            }
            catch (SqliteFault fault) when (fault.Primary == raw.SQLITE_BUSY && attempt < WriteAheadLogAttempts)
            {
                if (session.Statement("begin").TryRun() == raw.SQLITE_OK)
                    session.Statement("rollback").Run();
            }
        }
    }

    /// <summary>Makes an empty file that only its owner can read: SQLite gives its own files the mode of the database.</summary>
    private static bool Create(string path)
    {
        if (Directory.Exists(path))
            throw new StoreException(StoreFailure.Unusable, $"the store {path} is a folder; name a file");
        if (!Directory.Exists(Path.GetDirectoryName(path)))
            throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot be created, its folder does not exist; create it first");
        try
        {
            OwnerOnly.CreateFile(path, mustBeNew: true).Dispose();
            return true;
        }
        catch (IOException) when (File.Exists(path))
        {
            return false;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(StoreFailure.Unusable, $"the store {path} cannot be created: {SystemMessages.Of(exception)}; check the folder's permissions", exception);
        }
    }

    private static SqliteSession Guarded(string path, Func<SqliteSession> open, Action<SqliteSession> prepare)
    {
        SqliteSession? session = null;
        try
        {
            session = open();
            prepare(session);
            return session;
        }
        catch (SqliteFault fault)
        {
            session?.Dispose();
            throw new StoreException(fault.Primary == raw.SQLITE_CORRUPT ? StoreFailure.Damaged : StoreFailure.Unusable, Describe(path, fault), fault);
        }
        catch
        {
            session?.Dispose();
            throw;
        }
    }

    private static string Describe(string path, SqliteFault fault) => fault.Primary switch
    {
        raw.SQLITE_NOTADB => $"the store {path} is not an SQLite database; name another with --store",
        raw.SQLITE_BUSY => $"the store {path} is kept busy by another process; try again",
        raw.SQLITE_CORRUPT => $"the store {path} is damaged: {fault.Message}; restore the file from a backup",
        raw.SQLITE_FULL => $"there is no room left for the store {path}; free some space",
        raw.SQLITE_IOERR => $"the store {path} cannot be opened: {fault.Message}; {fault.Advice}",
        _ => $"the store {path} cannot be opened: {fault.Message}; check the path and its permissions",
    };

    private static List<string> CheckTables(string path, SqliteSession session)
    {
        var existing = session.Column("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')");
        if (existing.Contains("checkpoint_schema", StringComparer.OrdinalIgnoreCase)
            && session.Column("SELECT MAX(version) FROM checkpoint_schema") is [var text]
            && long.TryParse(text, out var version) && version > SchemaVersion)
        {
            throw new StoreException(
                StoreFailure.Unusable,
                $"the store {path} has schema version {version} and this program knows {SchemaVersion}; use a newer program");
        }

        foreach (var (table, columns) in _later)
        {
            if (existing.Contains(table, StringComparer.OrdinalIgnoreCase))
                CheckShape(path, session, table, columns);
        }

        var ours = new List<string>();
        foreach (var (table, columns) in _tables)
        {
            if (!existing.Contains(table, StringComparer.OrdinalIgnoreCase))
                continue;
            ours.Add(table);
            CheckShape(path, session, table, columns);
        }

        return ours;
    }

    private static void CheckShape(string path, SqliteSession session, string table, string[] columns)
    {
        var found = session.Column($"SELECT name FROM pragma_table_info('{table}')");
        var required = session.Column($"SELECT name FROM pragma_table_info('{table}') WHERE \"notnull\" AND dflt_value IS NULL");
        var missing = columns.Where(column => !found.Contains(column, StringComparer.OrdinalIgnoreCase));
        var foreign = required.Where(column => !columns.Contains(column, StringComparer.OrdinalIgnoreCase));
        var wrong = missing.Select(column => $"no column {column}").Concat(foreign.Select(column => $"a column {column} of its own"));
        if (wrong.FirstOrDefault() is { } reason)
            throw new StoreException(StoreFailure.Unusable, $"the database {path} has a table {table} of another shape ({reason}); name another with --store");
        if (table == "journal" && !IsFenced(session))
            throw new StoreException(StoreFailure.Unusable, $"the journal in {path} has no unique index on (persistence_id, sequence_number); name another with --store");
    }

    /// <summary>Two writers are kept apart by the unique index alone, so a journal without it is no journal.</summary>
    private static bool IsFenced(SqliteSession session) => session.Column(
        """
        SELECT 1 FROM pragma_index_list('journal') AS list WHERE list."unique" AND
            (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(list.name) ORDER BY seqno)) = 'persistence_id,sequence_number'
        """).Count > 0;
}
