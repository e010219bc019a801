using Akka.Actor;
using Checkpoint.Actors.Akka;
using Checkpoint.Actors.Akka.Tests;
using Checkpoint.Storage;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Tests;

/// <summary>The engine inside an actor system of its own, for the tests that every host must pass.</summary>
internal sealed class EngineUnderTest : IAsyncDisposable
{
    /// <summary>The actor system's journal is a database on disk, and the store must be the same.</summary>
    public const bool NeedsDisk = true;

    private EngineUnderTest(ActorSystem system, TimeProvider? time)
    {
        System = system;
        Extension = time is null ? CheckpointExtension.Get(system) : CheckpointExtension.Open(system, time);
    }

    public ActorSystem System { get; }

    public CheckpointExtension Extension { get; }

    public CheckpointEngine Engine => Extension.Engine;

    public static EngineUnderTest Open(StoreOptions options, TimeProvider? time) =>
        new(ActorSystem.Create("contract", SqlStore.Config(options)), time);

    public async ValueTask DisposeAsync()
    {
        await System.Terminate().WaitAsync(TimeSpan.FromSeconds(30));
        SqliteConnection.ClearAllPools();
    }
}
