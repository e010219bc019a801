using System.Buffers.Binary;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// What a checkpoint holds of a guest beside registers and memory: which one it is, and its device. Little endian: version,
/// kind, vCPUs, features (u32 each: ymm, zmm, TSC deadline from bit 0 on), memory, seed, exit interval, write interval (u64 each, 0 for the guest's own choice), working
/// pages (u32, 0 for the guest's own choice), architecture (u32; version 1 ends before it and is x86-64), then the device's bytes.
/// </summary>
internal static class GuestState
{
    private const uint Version = 2;
    private const uint VersionWithoutArchitecture = 1;
    private const int ArchitectureOffset = (4 * 4) + (4 * 8) + 4;
    private const uint Ymm = 1 << 0;
    private const uint Zmm = 1 << 1;
    private const uint TscDeadline = 1 << 2;
    private const int HeaderBytes = ArchitectureOffset + 4;

    public static byte[] Write(GuestProgram program, ReadOnlySpan<byte> device)
    {
        var options = program.Options;
        var state = new byte[HeaderBytes + device.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(state, Version);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(4), (uint)program.Kind);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(8), (uint)options.Vcpus);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(12), Features(options));
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(16), options.MemoryBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(24), options.Seed);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(32), options.ExitEverySteps ?? 0);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(40), options.WriteEverySteps ?? 0);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(48), (uint)(options.WorkingPages ?? 0));
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(ArchitectureOffset), (uint)options.Architecture);
        device.CopyTo(state.AsSpan(HeaderBytes));
        return state;
    }

    public static (GuestKind Kind, GuestOptions Options, byte[] Device) Read(ReadOnlySpan<byte> state)
    {
        var version = state.Length < sizeof(uint) ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(state);
        var headerBytes = version == VersionWithoutArchitecture ? ArchitectureOffset : HeaderBytes;
        if (version is not (Version or VersionWithoutArchitecture) || state.Length < headerBytes)
            throw new InvalidDataException("The checkpoint's guest is of another version of this program.");
        var kind = (GuestKind)BinaryPrimitives.ReadUInt32LittleEndian(state[4..]);
        var features = BinaryPrimitives.ReadUInt32LittleEndian(state[12..]);
        var options = new GuestOptions
        {
            Architecture = version == VersionWithoutArchitecture
                ? MachineArchitecture.X64
                : (MachineArchitecture)BinaryPrimitives.ReadUInt32LittleEndian(state[ArchitectureOffset..]),
            Vcpus = (int)BinaryPrimitives.ReadUInt32LittleEndian(state[8..]),
            UseYmm = (features & Ymm) != 0,
            UseZmm = (features & Zmm) != 0,
            UseTscDeadline = (features & TscDeadline) != 0,
            MemoryBytes = BinaryPrimitives.ReadUInt64LittleEndian(state[16..]),
            Seed = BinaryPrimitives.ReadUInt64LittleEndian(state[24..]),
            ExitEverySteps = Chosen(BinaryPrimitives.ReadUInt64LittleEndian(state[32..])),
            WriteEverySteps = Chosen(BinaryPrimitives.ReadUInt64LittleEndian(state[40..])),
            WorkingPages = BinaryPrimitives.ReadInt32LittleEndian(state[48..]) is var pages and > 0 ? pages : null,
        };
        return (kind, options, state[headerBytes..].ToArray());
    }

    private static uint Features(GuestOptions options) =>
        (options.UseYmm ? Ymm : 0) | (options.UseZmm ? Zmm : 0) | (options.UseTscDeadline ? TscDeadline : 0);

    private static ulong? Chosen(ulong value) => value == 0 ? null : value;
}
