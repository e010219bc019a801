using System.Buffers;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// The folded stream as the snapshot store holds it. A snapshot saves time and proves nothing, so one that cannot be read is
/// not an error: it says so, and the stream is read from its first event.
/// </summary>
public sealed class HistorySnapshot
{
    private HistorySnapshot(MachineHistory? history) => History = history;

    /// <summary>The history; null where the snapshot cannot be read.</summary>
    public MachineHistory? History { get; }

    internal static HistorySnapshot Of(MachineHistory history) => new(history);

    internal static HistorySnapshot Decode(string manifest, byte[] bytes)
    {
        try
        {
            return new HistorySnapshot(SnapshotCodec.Decode(manifest, bytes));
        }
        catch (PayloadException)
        {
            return new HistorySnapshot(null);
        }
    }

    internal byte[] ToBytes()
    {
        var bytes = new ArrayBufferWriter<byte>(4096);
        SnapshotCodec.Encode(History ?? throw new InvalidOperationException("A snapshot that could not be read is not written."), bytes);
        return bytes.WrittenSpan.ToArray();
    }
}
