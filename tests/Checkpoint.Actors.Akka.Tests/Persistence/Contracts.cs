using MessagePack;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

/// <summary>The payloads as docs/FORMAT.md describes them, written down for MessagePack-CSharp: whoever reads the format with it writes these.</summary>
public static class Contracts
{
    public static IReadOnlyDictionary<string, Type> ByManifest { get; } = new Dictionary<string, Type>
    {
        ["machine-registered-v1"] = typeof(Registered),
        ["checkpoint-committed-v1"] = typeof(Committed),
        ["checkpoint-aborted-v1"] = typeof(Aborted),
        ["checkpoint-pinned-v1"] = typeof(Pinned),
        ["checkpoint-unpinned-v1"] = typeof(Pinned),
        ["checkpoint-pruned-v1"] = typeof(Pruned),
        ["machine-restored-v1"] = typeof(Restored),
        ["machine-history-v2"] = typeof(Snapshot),
    };

    [MessagePackObject]
    public sealed record Registered(
        [property: Key(0)] byte[] Previous,
        [property: Key(1)] DateTime At,
        [property: Key(2)] string Vm,
        [property: Key(3)] int Architecture,
        [property: Key(4)] int Vcpus,
        [property: Key(5)] long MemoryBytes,
        [property: Key(6)] byte[]? Origin);

    [MessagePackObject]
    public sealed record Part([property: Key(0)] byte[] Digest, [property: Key(1)] long SizeBytes);

    [MessagePackObject]
    public sealed record SegmentPart([property: Key(0)] string Name, [property: Key(1)] byte[] Digest, [property: Key(2)] long SizeBytes);

    [MessagePackObject]
    public sealed record Timings([property: Key(0)] long PauseUs, [property: Key(1)] long ParkUs, [property: Key(2)] long CaptureUs, [property: Key(3)] long StoreUs);

    [MessagePackObject]
    public sealed record Taking(
        [property: Key(0)] int Way,
        [property: Key(1)] int Rounds,
        [property: Key(2)] long PagesLeft,
        [property: Key(3)] long PrepareUs,
        [property: Key(4)] long CaptureUs);

    [MessagePackObject]
    public sealed record Committed(
        [property: Key(0)] byte[] Previous,
        [property: Key(1)] DateTime At,
        [property: Key(2)] long Number,
        [property: Key(3)] byte[] Id,
        [property: Key(4)] long? Parent,
        [property: Key(5)] int Mode,
        [property: Key(6)] int Trigger,
        [property: Key(7)] string? Label,
        [property: Key(8)] long? GuestClockNs,
        [property: Key(9)] Part State,
        [property: Key(10)] SegmentPart? Segment,
        [property: Key(11)] long MemoryBytes,
        [property: Key(12)] long DirtyPages,
        [property: Key(13)] Timings Timings,
        [property: Key(14)] string Batching,
        [property: Key(15)] Taking Taking);

    [MessagePackObject]
    public sealed record Aborted(
        [property: Key(0)] byte[] Previous,
        [property: Key(1)] DateTime At,
        [property: Key(2)] string Reason,
        [property: Key(3)] string? Participant,
        [property: Key(4)] ulong? Register,
        [property: Key(5)] int? Errno);

    [MessagePackObject]
    public sealed record Pinned([property: Key(0)] byte[] Previous, [property: Key(1)] DateTime At, [property: Key(2)] long Number);

    [MessagePackObject]
    public sealed record Pruned([property: Key(0)] byte[] Previous, [property: Key(1)] DateTime At, [property: Key(2)] long[] Numbers);

    [MessagePackObject]
    public sealed record Restored(
        [property: Key(0)] byte[] Previous,
        [property: Key(1)] DateTime At,
        [property: Key(2)] string FromVm,
        [property: Key(3)] long FromNumber,
        [property: Key(4)] byte[] FromId,
        [property: Key(5)] string Policy,
        [property: Key(6)] string[] Leniences,
        [property: Key(7)] byte[] GenerationId,
        [property: Key(8)] bool Continues);

    [MessagePackObject]
    public sealed record Snapshot([property: Key(0)] byte[] Digest, [property: Key(1)] byte[] Content);

    [MessagePackObject]
    public sealed record SnapshotContent(
        [property: Key(0)] long SequenceNumber,
        [property: Key(1)] byte[] Digest,
        [property: Key(2)] DateTime RegisteredAt,
        [property: Key(3)] string Vm,
        [property: Key(4)] int Architecture,
        [property: Key(5)] int Vcpus,
        [property: Key(6)] long MemoryBytes,
        [property: Key(7)] byte[]? Origin,
        [property: Key(8)] long HighestNumber,
        [property: Key(9)] long? Current,
        [property: Key(10)] object[][] Live,
        [property: Key(11)] long[] Pinned);

    [MessagePackObject]
    public sealed record Item([property: Key(0)] ulong Id, [property: Key(1)] byte[] Value);

    [MessagePackObject]
    public sealed record Device([property: Key(0)] string Name, [property: Key(1)] byte[] State);

    [MessagePackObject]
    public sealed record Slot([property: Key(0)] long Number, [property: Key(1)] long Flags, [property: Key(2)] ulong GuestAddress, [property: Key(3)] ulong SizeBytes);

    [MessagePackObject]
    public sealed record Vcpu([property: Key(0)] long Id, [property: Key(1)] byte[] Features);

    [MessagePackObject]
    public sealed record Capability([property: Key(0)] long Number, [property: Key(1)] ulong Flags, [property: Key(2)] ulong[] Arguments);

    [MessagePackObject]
    public sealed record MachineDescription(
        [property: Key(0)] int Architecture,
        [property: Key(1)] Slot[] Slots,
        [property: Key(2)] int InterruptChip,
        [property: Key(3)] Vcpu[] Vcpus,
        [property: Key(4)] Capability[] Capabilities,
        [property: Key(5)] ulong? TssAddress,
        [property: Key(6)] ulong? IdentityMapAddress,
        [property: Key(7)] byte[] GsiRouting);

    [MessagePackObject]
    public sealed record StateDocument(
        [property: Key(0)] int Version,
        [property: Key(1)] MachineDescription Machine,
        [property: Key(2)] Item[] Vm,
        [property: Key(3)] Item[][] Vcpus,
        [property: Key(4)] Device[] Devices);
}
