using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Storage;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

public sealed class OneStoreTests() : ActorSystemTests(
    $$"""
    akka.persistence.journal.sql {
      connection-string = "Data Source={{s_elsewhere.Database}}"
      auto-initialize = on
    }
    """)
{
    private static readonly TestFolder s_elsewhere = new();

    [Fact]
    public async Task A_journal_that_is_not_the_stores_is_told_of_before_anything_runs()
    {
        using var guest = Guest();
        var told = await Assert.ThrowsAsync<StoreException>(() => AttachAsync(guest));
        Assert.Contains("does not write the store", told.Message, StringComparison.Ordinal);
        Assert.Empty((await Extension.Actor.Ask<AttachedMachines>(new EngineCommand.ListMachines(), Patience)).Machines);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        SqliteConnection.ClearAllPools();
    }
}

public sealed class DurabilityTests : ActorSystemTests
{
    [Fact]
    public void A_commit_of_the_actor_systems_journal_is_one_sync_of_the_same_log()
    {
        Assert.NotNull(Extension);
        using var connection = new SqliteConnection("Data Source=" + Options.Uri!["sqlite:".Length..]);
        connection.Open();
        foreach (var (pragma, expected) in new[] { ("journal_mode", "wal"), ("synchronous", "2") })
        {
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA " + pragma;
            Assert.Equal(expected, $"{command.ExecuteScalar()}");
        }
    }
}
