using Checkpoint.Storage;

namespace Checkpoint.Actors.Tests;

/// <summary>
/// The host that these tests run on. The tests are the contract of every host: the tests of another one take these files and
/// have a class of this name of their own.
/// </summary>
internal sealed class EngineUnderTest : IAsyncDisposable
{
    /// <summary>Whether this host can do with a store in memory.</summary>
    public const bool NeedsDisk = false;

    private EngineUnderTest(CheckpointEngine engine) => Engine = engine;

    public CheckpointEngine Engine { get; }

    public static EngineUnderTest Open(StoreOptions options, TimeProvider? time) => new(CheckpointEngine.Open(options, time));

    public ValueTask DisposeAsync() => Engine.DisposeAsync();
}
