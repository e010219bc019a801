using System.Text.Json;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;
using SQLitePCL;

// Guests share the host's processors with whatever else runs: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Checkpoint.Cli.Tests;

/// <summary>A folder with a store, in which commands are run inside this process. The folder goes with the test.</summary>
internal sealed class Sandbox : IDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("checkpoint-cli-tests-");

    /// <summary>The environment's variables that commands see.</summary>
    public Dictionary<string, string> Variables { get; } = [];

    public string Folder => _folder.FullName;

    public string Database => Path.Combine(Folder, "store.db");

    public string StoreUri => "sqlite:" + Database;

    /// <summary>Runs a command on the sandbox's store.</summary>
    public Task<Answer> RunAsync(params string[] args) => RunPlainAsync([.. args, "--store", StoreUri]);

    /// <summary>Runs a command exactly as given.</summary>
    public async Task<Answer> RunPlainAsync(IReadOnlyList<string> args, Func<Surroundings, Surroundings>? change = null, CancellationToken cancellationToken = default)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var around = new Surroundings(output, error) { Variable = name => Variables.GetValueOrDefault(name) };
        var exitCode = await CheckpointCommand.RunAsync(args, change?.Invoke(around) ?? around, cancellationToken).WaitAsync(Patience, CancellationToken.None);
        return new Answer(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs a new machine until it has so many checkpoints.</summary>
    public async Task<Answer> MakeCheckpointsAsync(string vm, int count, params string[] more)
    {
        var answer = await RunAsync(["run", "--vm", vm, "--every", "20ms", "--checkpoints", $"{count}", "--json", .. more]);
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        return answer;
    }

    public CheckpointStore OpenStore() => CheckpointStore.Open(new StoreOptions(StoreUri), TimeProvider.System);

    public async Task<MachineEvent.CheckpointCommitted> EventOfAsync(string vm, long number)
    {
        await using var store = OpenStore();
        return (await store.RecoverAsync(vm)).Live[number];
    }

    public string SegmentPathOf(MachineEvent.CheckpointCommitted committed) =>
        Directory.EnumerateFiles(Database + ".d", committed.Segment!.Name, SearchOption.AllDirectories).Single();

    /// <summary>Changes the database behind the store's back.</summary>
    public void Execute(string sql)
    {
        Batteries_V2.Init();
        Assert.Equal(raw.SQLITE_OK, raw.sqlite3_open(Database, out var database));
        using (database)
            Assert.Equal(raw.SQLITE_OK, raw.sqlite3_exec(database, sql));
    }

    public void Dispose() => _folder.Delete(recursive: true);
}

/// <summary>What a command answered.</summary>
internal sealed record Answer(int ExitCode, string Output, string Error)
{
    public IReadOnlyList<JsonElement> Json => [.. Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>The only line of standard error.</summary>
    public string OneLine
    {
        get
        {
            Assert.EndsWith("\n", Error, StringComparison.Ordinal);
            Assert.Equal(1, Error.Count(character => character == '\n'));
            Assert.StartsWith("checkpoint: ", Error, StringComparison.Ordinal);
            return Error["checkpoint: ".Length..].TrimEnd();
        }
    }

    /// <summary>The only object of this event.</summary>
    public JsonElement Event(string name) => Json.Single(line => line.GetProperty("event").GetString() == name);

    public void Fails(int exitCode, params string[] words)
    {
        Assert.True(exitCode == ExitCode, $"exit code {ExitCode}: {Error}");
        foreach (var word in words)
            Assert.Contains(word, OneLine, StringComparison.Ordinal);
    }
}
