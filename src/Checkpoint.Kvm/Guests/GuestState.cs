using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// What a checkpoint holds of a guest beside registers and memory: which one it is, and its device. Little endian: version,
/// kind, vCPUs, ymm (u32 each), memory, seed, exit interval, write interval (u64 each, 0 for the guest's own choice), working
/// pages (u32, 0 for the guest's own choice), then the device's bytes.
/// </summary>
internal static class GuestState
{
    private const uint Version = 1;
    private const int HeaderBytes = (4 * 4) + (4 * 8) + 4;

    public static byte[] Write(GuestProgram program, ReadOnlySpan<byte> device)
    {
        var options = program.Options;
        var state = new byte[HeaderBytes + device.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(state, Version);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(4), (uint)program.Kind);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(8), (uint)options.Vcpus);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(12), options.UseYmm ? 1u : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(16), options.MemoryBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(24), options.Seed);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(32), options.ExitEverySteps ?? 0);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(40), options.WriteEverySteps ?? 0);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(48), (uint)(options.WorkingPages ?? 0));
        device.CopyTo(state.AsSpan(HeaderBytes));
        return state;
    }

    public static (GuestKind Kind, GuestOptions Options, byte[] Device) Read(ReadOnlySpan<byte> state)
    {
        if (state.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(state) != Version)
            throw new InvalidDataException("The checkpoint's guest is of another version of this program.");
        var kind = (GuestKind)BinaryPrimitives.ReadUInt32LittleEndian(state[4..]);
        var options = new GuestOptions
        {
            Vcpus = (int)BinaryPrimitives.ReadUInt32LittleEndian(state[8..]),
            UseYmm = BinaryPrimitives.ReadUInt32LittleEndian(state[12..]) != 0,
            MemoryBytes = BinaryPrimitives.ReadUInt64LittleEndian(state[16..]),
            Seed = BinaryPrimitives.ReadUInt64LittleEndian(state[24..]),
            ExitEverySteps = Chosen(BinaryPrimitives.ReadUInt64LittleEndian(state[32..])),
            WriteEverySteps = Chosen(BinaryPrimitives.ReadUInt64LittleEndian(state[40..])),
            WorkingPages = BinaryPrimitives.ReadInt32LittleEndian(state[48..]) is var pages and > 0 ? pages : null,
        };
        return (kind, options, state[HeaderBytes..].ToArray());
    }

    private static ulong? Chosen(ulong value) => value == 0 ? null : value;
}
