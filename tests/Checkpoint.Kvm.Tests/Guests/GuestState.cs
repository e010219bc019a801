using System.Buffers.Binary;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>A guest's memory, registers and device as plain values that a test can step and damage.</summary>
internal sealed class GuestState
{
    private readonly GuestRegisters[] _vcpus;

    public GuestState(X64GuestProgram program)
    {
        Program = program;
        Memory = new byte[program.Options.MemoryBytes];
        program.Load((address, bytes) => bytes.CopyTo(Memory.AsMemory((int)address)));
        Device = new SequenceDevice(program.Options.Vcpus);
        _vcpus =
        [
            .. Enumerable.Range(0, program.Options.Vcpus)
                .Select(vcpu => new GuestRegisters(program.Entry(vcpu).General, new byte[4096])),
        ];
    }

    public X64GuestProgram Program { get; }

    public byte[] Memory { get; }

    public SequenceDevice Device { get; }

    public GeneralRegisters this[int vcpu]
    {
        get => _vcpus[vcpu].General;
        set => _vcpus[vcpu] = _vcpus[vcpu] with { General = value };
    }

    public Span<byte> Xsave(int vcpu) => System.Runtime.InteropServices.MemoryMarshal.AsMemory(_vcpus[vcpu].Xsave).Span;

    public void DropXsave(int vcpu, int lengthBytes) =>
        _vcpus[vcpu] = _vcpus[vcpu] with { Xsave = _vcpus[vcpu].Xsave[..lengthBytes] };

    public ulong Word(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(Memory.AsSpan((int)address));

    public void SetWord(ulong address, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(Memory.AsSpan((int)address), value);

    /// <summary>An x87 stack of n and 1.0, as FXSAVE lays it out.</summary>
    public void SetX87(int vcpu, ulong n)
    {
        var area = Xsave(vcpu);
        area[512] |= 1;
        BinaryPrimitives.WriteUInt16LittleEndian(area[2..], 6 << 11); // The top is register 6 after two loads.
        area[4] = 0b1100_0000;
        WriteWhole(area[32..], n);
        WriteWhole(area[48..], 1);
    }

    /// <summary>n in vector 15 and ones in vector 14.</summary>
    public void SetVectors(int vcpu, ulong n, bool ymm)
    {
        var area = Xsave(vcpu);
        area[512] |= 2;
        SetVector(area[160..], n);
        if (ymm)
        {
            area[512] |= 4;
            SetVector(area[576..], n);
        }
    }

    public GuestVerdict Verify() =>
        Program.Verify((address, destination) => Memory.AsSpan((int)address, destination.Length).CopyTo(destination), _vcpus, Device);

    private static void SetVector(Span<byte> registers, ulong n)
    {
        for (var lane = 0; lane < 2; lane++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(registers[((16 * 14) + (8 * lane))..], 1);
            BinaryPrimitives.WriteUInt64LittleEndian(registers[((16 * 15) + (8 * lane))..], n);
        }
    }

    private static void WriteWhole(Span<byte> register, ulong value)
    {
        var zeros = System.Numerics.BitOperations.LeadingZeroCount(value);
        BinaryPrimitives.WriteUInt64LittleEndian(register, value == 0 ? 0 : value << zeros);
        BinaryPrimitives.WriteUInt16LittleEndian(register[8..], (ushort)(value == 0 ? 0 : 16383 + 63 - zeros));
    }
}
