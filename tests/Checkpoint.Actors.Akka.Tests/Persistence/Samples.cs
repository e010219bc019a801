using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

/// <summary>One event of each kind, every member set.</summary>
internal static class Samples
{
    public static readonly DateTimeOffset At = new(2026, 3, 4, 5, 6, 7, 891, TimeSpan.Zero);

    public static readonly CheckpointId Id = new((UInt128)0x0123456789abcdef << 64 | 0xfedcba9876543210);

    public static MachineEvent.MachineRegistered Registered { get; } = new("a", MachineArchitecture.X64, 2, 8 << 20, Id) { At = At };

    public static MachineEvent.CheckpointCommitted Committed { get; } = new(
        1,
        Id,
        null,
        CheckpointMode.Full,
        CheckpointTrigger.Schedule,
        "before the upgrade",
        123_456_789_012,
        new StoredPart(Digest.Of("state"u8), 40_000),
        new SegmentPart("000000000001-0123456789abcdeffedcba9876543210.seg", Digest.Of("segment"u8), 8_400_000),
        8 << 20,
        2048,
        new CheckpointTimings(1500, 300, 700, 9000),
        "msrs") { At = At, Taking = new MemoryTaking(MemoryWay.Precopied, 2, 17, 3000, 200) };

    public static IReadOnlyList<MachineEvent> All { get; } =
    [
        Registered,
        Committed,
        new MachineEvent.CheckpointAborted("vcpu 1 did not park within 2000 ms", "vcpu 1", 0x6030000000100010, 22) { At = At },
        new MachineEvent.CheckpointPinned(1) { At = At },
        new MachineEvent.CheckpointUnpinned(1) { At = At },
        new MachineEvent.MachineRestored("a", 1, Id, "strict", ["TSC"], new Guid("00112233-4455-6677-8899-aabbccddeeff"), true) { At = At },
        new MachineEvent.CheckpointPruned([1]) { At = At },
    ];
}
