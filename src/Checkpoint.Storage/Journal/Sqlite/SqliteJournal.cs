using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Payloads;
using SQLitePCL;

namespace Checkpoint.Storage.Journal.Sqlite;

/// <summary>
/// A journal in an SQLite file, in WAL mode with synchronous=FULL: a commit is one sync of the log. One connection serves all
/// machines of the process, one call at a time; other processes may read and write the same file.
/// </summary>
public sealed class SqliteJournal : IJournal
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _gate = new(1);
    private readonly EncodedEvents _encoded = new();
    private readonly WriterIds _writers = new();
    private readonly TimeProvider _time;
    private readonly string _path;
    private readonly bool _readOnly;
    private SqliteSession? _session;
    private bool _disposed;

    private SqliteJournal(string path, bool readOnly, TimeProvider time)
    {
        _path = path;
        _readOnly = readOnly;
        _time = time;
        _session = Open();
        StoreId = _session.StoreId;
    }

    /// <summary>The store's random id; null for one of an earlier version that is open for reading only.</summary>
    internal string? StoreId { get; }

    /// <summary>Opens a journal.</summary>
    /// <param name="path">The database file. For writing it is created where it is missing, its folder is not.</param>
    /// <param name="readOnly">Whether to read only: then nothing is created, and appends are refused.</param>
    /// <param name="time">Gives the rows their time of creation.</param>
    /// <exception cref="StoreException">The file cannot be opened, or is not a store of a version that this program knows.</exception>
    public static SqliteJournal Open(string path, bool readOnly, TimeProvider time) => new(Path.GetFullPath(path), readOnly, time);

    /// <inheritdoc/>
    public async Task<AppendOutcome> AppendAsync(JournalAppend append, CancellationToken cancellationToken = default)
    {
        MachineNames.Check(append.Vm);
        if (_readOnly)
            return new AppendOutcome.Refused($"the store {_path} is open for reading only; open it for writing");
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // On the caller's thread: SQLite blocks it for one sync, and on a host whose guests want every processor each
            // change of threads costs more than that.
            return Append(append);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <inheritdoc/>
    public async Task ProveDurableAsync(string vm, CancellationToken cancellationToken = default)
    {
        MachineNames.Check(vm);
        if (_readOnly)
            throw new StoreException(StoreFailure.Unusable, $"the store {_path} is open for reading only and cannot prove what is on its disk; open it for writing");
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Abandon();
            await SqliteDurability.ProveAsync(_path, _patience, cancellationToken).ConfigureAwait(false);
        }
        catch (SqliteFault fault)
        {
            var failure = fault.Primary is raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB ? StoreFailure.Damaged : StoreFailure.Unusable;
            throw new StoreException(failure, $"the store {_path} cannot prove what is on its disk: {fault.Message}; {fault.Advice}", fault);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListMachinesAsync(CancellationToken cancellationToken = default) =>
        RunAsync<IReadOnlyList<string>>(
            null,
            session =>
            {
                var prefix = MachineName.StreamOf("").Length;
                return SqliteRows.All(session.Statement("list-streams"), row => row.Text(0)![prefix..])
                    .FindAll(name => MachineName.IsValid(name, out _));
            },
            cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<JournalRow>> ReadAsync(string vm, long after, int limit, CancellationToken cancellationToken = default) =>
        RunAsync<IReadOnlyList<JournalRow>>(
            vm,
            session => SqliteRows.All(
                session.Statement("read-events").Bind(1, MachineName.StreamOf(vm)).Bind(2, after).Bind(3, (long)limit),
                SqliteRows.Event),
            cancellationToken);

    /// <inheritdoc/>
    public Task<ReadOnlyMemory<byte>?> ReadStateDocumentAsync(string vm, long number, CancellationToken cancellationToken = default) =>
        RunAsync(
            vm,
            session => SqliteRows.All<ReadOnlyMemory<byte>?>(
                session.Statement("read-state-document").Bind(1, MachineName.StreamOf(vm)).Bind(2, number),
                row => row.Blob(0).ToArray()).FirstOrDefault(),
            cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<long>> ListStateDocumentsAsync(string vm, CancellationToken cancellationToken = default) =>
        RunAsync<IReadOnlyList<long>>(
            vm,
            session => SqliteRows.All(session.Statement("list-state-documents").Bind(1, MachineName.StreamOf(vm)), row => row.Integer(0)),
            cancellationToken);

    /// <inheritdoc/>
    public Task<DocumentAhead?> LoadDocumentAheadAsync(string vm, CancellationToken cancellationToken = default) =>
        RunAsync(
            vm,
            session => SqliteOpening.NotesDocumentsAhead(session)
                ? SqliteRows.All(
                    session.Statement("load-document-ahead").Bind(1, MachineName.StreamOf(vm)),
                    row => new DocumentAhead(row.Integer(0), row.Integer(1))).FirstOrDefault()
                : null,
            cancellationToken);

    /// <inheritdoc/>
    public Task SaveSnapshotAsync(string vm, SnapshotRow snapshot, CancellationToken cancellationToken = default) =>
        RunAsync(
            vm,
            session =>
            {
                SqliteRows.Save(session, MachineName.StreamOf(vm), snapshot, Now());
                return true;
            },
            cancellationToken);

    /// <inheritdoc/>
    public Task<SnapshotRow?> LoadSnapshotAsync(string vm, CancellationToken cancellationToken = default) =>
        RunAsync(
            vm,
            session => SqliteRows.All(session.Statement("load-snapshot").Bind(1, MachineName.StreamOf(vm)), SqliteRows.Snapshot).FirstOrDefault(),
            cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        _disposed = true;
        Abandon();
        _gate.Release();
    }

    private long Now() => _time.GetUtcNow().Ticks;

    private SqliteSession Open() => _readOnly ? SqliteOpening.ForReading(_path) : SqliteOpening.ForWriting(_path);

    /// <summary>The open connection; a new one where the last one was closed after a fault.</summary>
    internal SqliteSession Session()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _session ??= Open();
    }

    private void Abandon()
    {
        _session?.Dispose();
        _session = null;
    }

    private AppendOutcome Append(JournalAppend append)
    {
        SqliteSession session;
        try
        {
            session = Session();
        }
        catch (StoreException exception)
        {
            return new AppendOutcome.Refused(exception.Message);
        }

        try
        {
            session.Statement("begin").Run();
            if (Conflict(session, append) is { } conflict)
            {
                Rollback(session);
                return conflict;
            }

            Write(session, append);
        }
        catch (SqliteFault fault)
        {
            Rollback(session);
            if (SqliteResults.SpoilsConnection(fault.Code))
                Abandon();
            return SqliteResults.BeforeCommit(fault.Code, Describe(fault));
        }
        catch
        {
            // A bug of ours, not SQLite's: the transaction must not stay open behind it.
            Rollback(session);
            throw;
        }

        return Commit(session);
    }

    private AppendOutcome Commit(SqliteSession session)
    {
        var code = session.Statement("commit").TryRun();
        if (code == raw.SQLITE_OK)
            return new AppendOutcome.Committed(_encoded.Head);
        if (SqliteResults.IsKnownAtCommit(code))
            Rollback(session);
        else
            Abandon();
        return SqliteResults.AtCommit(code, Describe(new SqliteFault(code)));
    }

    /// <summary>
    /// The fence: number and digest of the last row must be what the writer knows. The transaction has the write lock, so what
    /// is found here still holds when it commits.
    /// </summary>
    private static AppendOutcome.Conflict? Conflict(SqliteSession session, JournalAppend append)
    {
        var statement = session.Statement("head").Bind(1, MachineName.StreamOf(append.Vm));
        try
        {
            var found = statement.Step() ? new JournalHead(statement.Integer(0), Digest.Of(statement.Blob(1))) : JournalHead.Empty;
            return found == append.Expected ? null : new AppendOutcome.Conflict(Conflicts.Describe(append, found.SequenceNumber));
        }
        finally
        {
            statement.Reset();
        }
    }

    private void Write(SqliteSession session, JournalAppend append)
    {
        var stream = MachineName.StreamOf(append.Vm);
        var created = Now();
        var writer = _writers.For(stream, append.Expected.SequenceNumber);
        _encoded.Encode(append.Expected, append.Events);
        for (var i = 0; i < _encoded.Count; i++)
        {
            session.Statement("append-event")
                .Bind(1, created)
                .Bind(2, stream)
                .Bind(3, append.Expected.SequenceNumber + 1 + i)
                .Bind(4, _encoded.Message(i))
                .Bind(5, _encoded.Manifest(i))
                .Bind(6, (long)EventCodec.SerializerId)
                .Bind(7, writer)
                .Run();
        }

        foreach (var number in append.DeleteStateDocuments)
            session.Statement("delete-state-document").Bind(1, stream).Bind(2, number).Run();
        if (append.StateDocument is { } document)
            session.Statement("save-state-document").Bind(1, stream).Bind(2, document.Number).Bind(3, created).Bind(4, document.Bytes.Span).Run();
        if (append.Events.Count == 0 && append.StateDocument is { } ahead)
            session.Statement("note-document-ahead").Bind(1, stream).Bind(2, ahead.Number).Bind(3, append.Expected.SequenceNumber + 1).Run();
        else
            session.Statement("forget-document-ahead").Bind(1, stream).Bind(2, _encoded.Head.SequenceNumber).Run();

        // Should the commit fail, the stream does not end here, and the next append takes a new id by itself.
        _writers.Wrote(stream, _encoded.Head.SequenceNumber, writer);
    }

    /// <summary>Rolls back where SQLite has not done so itself; a connection that cannot even do that is closed, which does it.</summary>
    private void Rollback(SqliteSession session)
    {
        if (session.InTransaction && session.Statement("rollback").TryRun() != raw.SQLITE_OK)
            Abandon();
    }

    private async Task<T> RunAsync<T>(string? vm, Func<SqliteSession, T> run, CancellationToken cancellationToken)
    {
        if (vm is not null)
            MachineNames.Check(vm);
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Run(vm, run), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    private T Run<T>(string? vm, Func<SqliteSession, T> run)
    {
        var session = Session();
        try
        {
            return run(session);
        }
        catch (SqliteFault fault)
        {
            Rollback(session);
            if (SqliteResults.SpoilsConnection(fault.Code))
                Abandon();
            if (fault.Primary is not (raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB))
                throw new StoreException(StoreFailure.Unusable, Describe(fault), fault);
            throw vm is null
                ? new StoreException(StoreFailure.Damaged, $"{Describe(fault)}; restore the file from a backup", fault)
                : new IntegrityException(vm, "journal", Describe(fault), inner: fault);
        }
    }

    private string Describe(SqliteFault fault) => fault.Primary switch
    {
        raw.SQLITE_FULL => $"the disk is full, there is no room left for the store {_path}; free some space on that disk",
        raw.SQLITE_BUSY => $"the store {_path} is kept busy by another process; try again",
        raw.SQLITE_READONLY => $"the store {_path} cannot be written; check its permissions",
        raw.SQLITE_IOERR => $"the store {_path}: {fault.Message}; {fault.Advice}",
        _ => $"the store {_path}: {fault.Message}; {fault.Advice}",
    };
}
