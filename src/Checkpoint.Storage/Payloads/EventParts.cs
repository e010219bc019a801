using System.Buffers.Binary;
using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Storage.Payloads;

/// <summary>The values that several contracts have in common.</summary>
internal static class EventParts
{
    /// <summary>16 bytes, the most significant first, as the id is written in hex.</summary>
    public static void Write(PayloadWriter writer, CheckpointId? id)
    {
        if (id is not { Value: var value })
        {
            writer.Nil();
            return;
        }

        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, value);
        writer.Binary(bytes);
    }

    public static void Write(PayloadWriter writer, IReadOnlyCollection<long> numbers)
    {
        writer.Array(numbers.Count);
        foreach (var number in numbers)
            writer.Integer(number);
    }

    public static void Write(PayloadWriter writer, ImmutableArray<long> numbers)
    {
        writer.Array(numbers.IsDefault ? 0 : numbers.Length);
        if (numbers.IsDefault)
            return;
        foreach (var number in numbers)
            writer.Integer(number);
    }

    public static ImmutableArray<long> ReadNumbers(ref PayloadReader reader, ref RecordReader record)
    {
        if (!record.Next())
            return [];
        var numbers = new long[reader.Array()];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = reader.Integer();
        return [.. numbers];
    }

    public static MachineArchitecture ReadArchitecture(ref RecordReader record) =>
        (MachineArchitecture)record.OneOf((int)MachineArchitecture.X64, (int)MachineArchitecture.Arm64, "architecture");
}
