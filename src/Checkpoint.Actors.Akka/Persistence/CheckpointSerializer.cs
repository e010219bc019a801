using Akka.Actor;
using Akka.Serialization;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// Events and snapshots of machines' streams to the bytes of docs/FORMAT.md and back. Its identifier and its manifests are
/// those that the built-in host writes, so either host reads what the other wrote.
/// </summary>
/// <param name="system">The actor system.</param>
public sealed class CheckpointSerializer(ExtendedActorSystem system) : SerializerWithStringManifest(system)
{
    private const string SnapshotKind = "machine-history-";

    /// <inheritdoc/>
    public override int Identifier => EventCodec.SerializerId;

    /// <inheritdoc/>
    public override string Manifest(object o) => o switch
    {
        ChainedEvent chained => chained.Manifest,
        HistorySnapshot => SnapshotCodec.Manifest,
        _ => throw Unknown(o),
    };

    /// <inheritdoc/>
    public override byte[] ToBinary(object obj) => obj switch
    {
        ChainedEvent chained => chained.ToBytes(),
        HistorySnapshot snapshot => snapshot.ToBytes(),
        _ => throw Unknown(obj),
    };

    /// <inheritdoc/>
    /// <exception cref="PayloadException">An event's bytes are damaged, or the manifest is unknown.</exception>
    public override object FromBinary(byte[] bytes, string manifest) => manifest.StartsWith(SnapshotKind, StringComparison.Ordinal)
        ? HistorySnapshot.Decode(manifest, bytes)
        : ChainedEvent.Decode(manifest, bytes);

    private static ArgumentException Unknown(object o) => new($"{o.GetType()} is no event or snapshot of a machine.", nameof(o));
}
