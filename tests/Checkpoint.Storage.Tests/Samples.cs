using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Tests;

/// <summary>Values for tests: fixed ones, and random ones that a seed repeats.</summary>
internal sealed class Samples(int seed)
{
    public static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private readonly Random _random = new(seed);

    public static byte[] Encode(Digest previous, MachineEvent @event)
    {
        var output = new ArrayBufferWriter<byte>();
        EventCodec.Encode(previous, @event, output);
        return output.WrittenSpan.ToArray();
    }

    public static byte[] Encode(MachineHistory history)
    {
        var output = new ArrayBufferWriter<byte>();
        SnapshotCodec.Encode(history, output);
        return output.WrittenSpan.ToArray();
    }

    public static MachineEvent.MachineRegistered Registered(string vm) =>
        new(vm, MachineArchitecture.X64, 2, 8 << 20, null) { At = Noon };

    public static MachineEvent.CheckpointCommitted Committed(long number, ReadOnlySpan<byte> document = default, SegmentPart? segment = null) => new(
        number,
        new CheckpointId((UInt128)(0x0123_4567_89ab_cdefUL + (ulong)number) << 64 | 0xfedc_ba98_7654_3210UL),
        number > 1 ? number - 1 : null,
        CheckpointMode.Full,
        CheckpointTrigger.Schedule,
        "nightly",
        123_456_789,
        new StoredPart(Digest.Of(document), document.Length),
        segment,
        8 << 20,
        2048,
        new CheckpointTimings(900, 100, 700, 4000),
        "many-regs") { At = Noon.AddTicks(number) };

    /// <summary>One event of each kind, in an order that a stream can have.</summary>
    public static ImmutableArray<MachineEvent> OneOfEach() =>
    [
        new MachineEvent.MachineRegistered("web", MachineArchitecture.Arm64, 4, 1L << 32, new CheckpointId(7)) { At = Noon },
        Committed(1, "document"u8, new SegmentPart("000000000001-x.seg", Digest.Of("index"u8), 123_456)),
        new MachineEvent.CheckpointAborted("vcpu 2 did not park in 500 ms", "vcpu 2", 0x6030_0000_0013_c102, 22) { At = Noon.AddMicroseconds(3) },
        new MachineEvent.CheckpointPinned(1) { At = Noon },
        new MachineEvent.CheckpointUnpinned(1) { At = Noon },
        new MachineEvent.MachineRestored("web", 1, new CheckpointId(9), "strict", ["TSC", "IA32_UCODE_REV"], new Guid("00112233-4455-6677-8899-aabbccddeeff"), true) { At = Noon },
        new MachineEvent.CheckpointPruned([1]) { At = Noon },
    ];

    public static StateDocument Document() => new(
        new MachineDescription(
            MachineArchitecture.X64,
            [new MemoryRegion(0, 0, 0, 8 << 20), new MemoryRegion(1, 2, 0xffff_0000, 0x1_0000)],
            InterruptChip.Full,
            [new VcpuDescription(0, new byte[] { 1, 2, 3 }), new VcpuDescription(1, new byte[] { 4 })],
            [new EnabledCapability(121, 0, [1, 2, 3, ulong.MaxValue])],
            0xfffb_d000,
            null,
            new byte[48]),
        StateList.Create([new StateItem(StateIds.X64Clock, new byte[] { 9, 8, 7 })]),
        [StateList.Create([new StateItem(StateIds.X64Regs, new byte[300]), new StateItem(StateIds.X64Msr(0x10), new byte[] { 1, 0, 0, 0, 0, 0, 0, 0 })]), StateList.Empty],
        [new DeviceState("serial", new byte[] { 0xff }), new DeviceState("ünï", default)]);

    public static MachineHistory History()
    {
        var history = MachineHistory.Empty;
        var head = JournalHead.Empty;
        foreach (var @event in OneOfEach().Take(4).Append(Committed(2)))
        {
            head = new JournalHead(head.SequenceNumber + 1, Digest.Of(Encode(head.Digest, @event)));
            history = history.Evolve(@event, head);
        }

        return history;
    }

    public MachineEvent Event() => _random.Next(7) switch
    {
        0 => new MachineEvent.MachineRegistered(Text(), (MachineArchitecture)_random.Next(1, 3), Int32(), Int64(), Maybe() ? Id() : null) { At = At() },
        1 => RandomCommitted(),
        2 => new MachineEvent.CheckpointAborted(Text(), Maybe() ? Text() : null, Maybe() ? (ulong)Int64() : null, Maybe() ? Int32() : null) { At = At() },
        3 => new MachineEvent.CheckpointPinned(Int64()) { At = At() },
        4 => new MachineEvent.CheckpointUnpinned(Int64()) { At = At() },
        5 => new MachineEvent.CheckpointPruned([.. Enumerable.Range(0, _random.Next(40)).Select(_ => Int64())]) { At = At() },
        _ => new MachineEvent.MachineRestored(
            Text(),
            Int64(),
            Id(),
            Text(),
            [.. Enumerable.Range(0, _random.Next(20)).Select(_ => Text())],
            new Guid(Bytes(16)),
            Maybe()) { At = At() },
    };

    public StateDocument RandomDocument() => new(
        new MachineDescription(
            (MachineArchitecture)_random.Next(1, 3),
            [.. Enumerable.Range(0, _random.Next(5)).Select(slot => new MemoryRegion((uint)slot, (uint)Int32(), (ulong)Int64(), (ulong)Int64()))],
            (InterruptChip)_random.Next(4),
            [.. Enumerable.Range(0, _random.Next(5)).Select(id => new VcpuDescription((uint)id, Bytes(_random.Next(200))))],
            [.. Enumerable.Range(0, _random.Next(3)).Select(_ => new EnabledCapability((uint)Int32(), 0, [(ulong)Int64()]))],
            Maybe() ? (ulong)Int64() : null,
            Maybe() ? (ulong)Int64() : null,
            Bytes(_random.Next(100)))
        {
            Gic = Maybe() ? new GicDescription((ulong)Int64(), (ulong)Int64(), (uint)Int32()) : null,
        },
        List(),
        [.. Enumerable.Range(0, _random.Next(5)).Select(_ => List())],
        [.. Enumerable.Range(0, _random.Next(3)).Select(_ => new DeviceState(Text(), Bytes(_random.Next(70_000))))]);

    private MachineEvent.CheckpointCommitted RandomCommitted() => new(
        Int64(),
        Id(),
        Maybe() ? Int64() : null,
        (CheckpointMode)_random.Next(1, 3),
        (CheckpointTrigger)_random.Next(1, 3),
        Maybe() ? Text() : null,
        Maybe() ? Int64() : null,
        new StoredPart(Digest.Of(Bytes(4)), Int64()),
        Maybe() ? new SegmentPart(Text(), Digest.Of(Bytes(4)), Int64()) : null,
        Int64(),
        Int64(),
        new CheckpointTimings(Int64(), Int64(), Int64(), Int64()),
        Text()) { At = At(), Taking = Maybe() ? RandomTaking() : null };

    private MemoryTaking RandomTaking() => new((MemoryWay)_random.Next(1, 4), _random.Next(30), Int64(), Int64(), Int64()) { MaxPauseUs = Maybe() ? Int64() : null };

    private StateList List() =>
        StateList.Create(Enumerable.Range(0, _random.Next(30)).Select(i => new StateItem(((ulong)Int64() & ~0xffUL) | (uint)i, Bytes(_random.Next(40)))));

    private bool Maybe() => _random.Next(2) == 0;

    /// <summary>Numbers of every length: each form that an integer can take comes up.</summary>
    private long Int64() => _random.NextInt64(long.MinValue, long.MaxValue) >> _random.Next(64);

    private int Int32() => _random.Next(int.MinValue, int.MaxValue) >> _random.Next(32);

    private CheckpointId Id() => new(new UInt128((ulong)Int64(), (ulong)Int64()));

    private string Text() => string.Concat(Enumerable.Range(0, _random.Next(300)).Select(_ => (char)_random.Next(0x20, 0x2fff)));

    private DateTimeOffset At() => new(_random.NextInt64(DateTimeOffset.MaxValue.Ticks), TimeSpan.Zero);

    private byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        _random.NextBytes(bytes);
        return bytes;
    }
}
