using System.Globalization;
using System.Text.Json;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>What the runs of a life have printed, and whether the store holds just that.</summary>
/// <param name="database">The store's file.</param>
/// <param name="deadlock">How long a command without faults may take.</param>
internal sealed class Ledger(string database, TimeSpan deadlock)
{
    private readonly Dictionary<string, Book> _books = new(StringComparer.Ordinal);

    /// <summary>The store, as options have it.</summary>
    public string Store => "sqlite:" + database;

    /// <summary>How many checkpoints were printed as committed.</summary>
    public int Committed { get; private set; }

    /// <summary>How many of them were printed as pruned.</summary>
    public int Pruned { get; private set; }

    /// <summary>How many were restored and exact.</summary>
    public int Restored { get; private set; }

    /// <summary>One of the checkpoints that must be there; null where there is none.</summary>
    public (string Vm, long Number)? Draw(Random random)
    {
        var all = _books.SelectMany(book => book.Value.Live.Keys.Select(number => (book.Key, number))).Order().ToList();
        return all.Count == 0 ? null : all[random.Next(all.Count)];
    }

    /// <summary>Takes down what a run has printed.</summary>
    /// <returns>What cannot be.</returns>
    public IEnumerable<string> Note(string vm, CommandEnd end)
    {
        if (!_books.TryGetValue(vm, out var book))
            _books[vm] = book = new Book();
        foreach (var line in end.Of("committed"))
        {
            var number = line.GetProperty("checkpoint").GetInt64();
            if (number <= book.Last)
                yield return $"number {number} was given after {book.Last}";
            book.Last = number;
            book.Live[number] = line.GetProperty("id").GetString()!;
            Committed++;
            foreach (var pruned in line.GetProperty("pruned").EnumerateArray().Select(each => each.GetInt64()))
            {
                if (!book.Live.Remove(pruned) && !book.MayHoldMore)
                    yield return $"{pruned} was pruned and was not there";
                Pruned++;
            }
        }

        // Whoever is told that the last write may have happened or not may find either.
        book.MayHoldMore |= end.Of("store").Select(line => line.GetProperty("kind").GetString()).LastOrDefault(kind => kind is "append-unknown" or "store-back" or "store-given-up")
            is "append-unknown" or "store-given-up";
    }

    /// <summary>Looks at the store, now that nothing goes wrong any more.</summary>
    /// <returns>What does not hold.</returns>
    public async Task<IReadOnlyList<string>> LookAsync(string folder)
    {
        if (!File.Exists(database))
            return Committed == 0 ? [] : ["the store is gone"];
        var broken = new List<string>();
        var verify = await DoAsync(broken, "verify").ConfigureAwait(false);
        if (verify is not { ExitCode: 0 } || verify.Lines[^1].GetProperty("damaged").GetArrayLength() != 0)
            broken.Add($"{verify}: {verify?.Lines[^1]}");
        foreach (var (vm, book) in _books)
        {
            await RestoreAllAsync(vm, book, broken).ConfigureAwait(false);
            if (book.Live.Count > 0)
                await GoOnAsync(vm, book, broken).ConfigureAwait(false);
        }

        await LookAtFilesAsync(folder, broken).ConfigureAwait(false);
        return broken;
    }

    private async Task RestoreAllAsync(string vm, Book book, List<string> broken)
    {
        await using var engine = CheckpointEngine.Open(new StoreOptions(Store));
        using var kvm = SystemHandle.Open();
        var live = (await engine.Store.RecoverAsync(vm).ConfigureAwait(false)).Live;
        if (!book.MayHoldMore && live.Keys.Except(book.Live.Keys).ToList() is { Count: > 0 } more)
            broken.Add($"{vm}: {string.Join(", ", more)} are there and were not printed");
        foreach (var (number, id) in book.Live)
        {
            if (!live.TryGetValue(number, out var found) || found.Id.ToString() != id)
            {
                broken.Add($"{vm}@{number} was printed as committed and is not there");
                continue;
            }

            try
            {
                using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Numbered(vm, number)).ConfigureAwait(false);
                var guest = GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
                if (guest.Verify(restored.Document.Vcpus) is { Ok: false } verdict)
                    broken.Add($"{vm}@{number} is not exact: {verdict.Failures[0]}");
                Restored++;
            }
            catch (Exception failure)
            {
                broken.Add($"{vm}@{number} cannot be restored: {failure.GetType().Name}: {failure.Message}");
            }
        }
    }

    // The last one runs on exactly, and the name can be used: its lock was given back, what was left is swept, and numbers go on.
    private async Task GoOnAsync(string vm, Book book, List<string> broken)
    {
        var latest = $"{vm}@latest";
        var restore = await DoAsync(broken, "restore", latest, "--run-for", "20ms").ConfigureAwait(false);
        if (restore is not { ExitCode: 0 } || !restore.Lines[^1].GetProperty("verified").GetBoolean())
            broken.Add($"{restore}");
        var run = await DoAsync(broken, "run", "--from", latest, "--every", "5ms", "--checkpoints", "2").ConfigureAwait(false);
        if (run is not { ExitCode: 0 } || run.Of("committed").Count() != 2)
            broken.Add($"{run}, without faults");
        if (run is not null)
            broken.AddRange(Note(vm, run));
    }

    private async Task LookAtFilesAsync(string folder, List<string> broken)
    {
        await using var store = CheckpointStore.Open(new StoreOptions(Store, ReadOnly: true), TimeProvider.System);
        var named = new HashSet<string>(StringComparer.Ordinal);
        foreach (var vm in _books.Keys)
            named.UnionWith((await store.RecoverAsync(vm).ConfigureAwait(false)).Live.Values.Select(each => each.Segment?.Name ?? ""));
        var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path)).ToList();
        // What an unswept machine has left stays until its next start, and not every one had one.
        var swept = _books.Where(book => book.Value.Live.Count > 0).Select(book => book.Key).ToList();
        broken.AddRange(files
            .Where(file => file.Contains(".db.d", StringComparison.Ordinal)
                ? swept.Exists(vm => file.Contains($"/{vm}/", StringComparison.Ordinal)) && !named.Contains(Path.GetFileName(file))
                : !file.StartsWith("store.db", StringComparison.Ordinal) && file != "faults.json")
            .Select(file => $"{file} is left"));
    }

    private async Task<CommandEnd?> DoAsync(List<string> broken, params string[] words)
    {
        var end = await Command.RunAsync(deadlock, deadlock, [.. words, "--store", Store]).ConfigureAwait(false);
        if (end is null or { WasInterrupted: true })
            broken.Add(string.Create(CultureInfo.InvariantCulture, $"DEADLOCK: '{string.Join(' ', words)}' has not ended within {deadlock.TotalSeconds} s"));
        return end;
    }

    private sealed class Book
    {
        public Dictionary<long, string> Live { get; } = [];

        public long Last { get; set; }

        public bool MayHoldMore { get; set; }
    }
}
