using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>A timer guest's memory, registers, local APICs and device as plain values that a test can step and damage.</summary>
internal sealed class TimerState
{
    public const int Requested = 0x200 + (TimerApic.Vector / 32 * 16);
    public const int InService = 0x100 + (TimerApic.Vector / 32 * 16);

    // As a processor of one make has it and as one of another: between the two lies the place of a component that few have.
    public static readonly XsaveLayout Compact = new(832, 896, 1408);
    public static readonly XsaveLayout Wide = new(1088, 1152, 1664);

    private const int XsaveBytes = 4096;
    private const int PresentComponents = 512;

    private readonly ulong[][] _registers;
    private readonly byte[][] _xsave;
    private readonly ulong[] _deadlines;

    public TimerState(TimerProgram program)
    {
        Program = program;
        var vcpus = program.Options.Vcpus;
        Memory = new byte[program.Options.MemoryBytes];
        program.Load((address, bytes) => bytes.CopyTo(Memory.AsMemory((int)address)));
        Device = new SequenceDevice(vcpus);
        _registers = [.. Enumerable.Range(0, vcpus).Select(vcpu => InOrder(program.Entry(vcpu).General))];
        _xsave = [.. Enumerable.Range(0, vcpus).Select(_ => new byte[XsaveBytes])];
        Lapics = [.. Enumerable.Range(0, vcpus).Select(_ => new byte[1024])];
        Events = [.. Enumerable.Range(0, vcpus).Select(_ => new byte[64])];
        Debug = [.. Enumerable.Range(0, vcpus).Select(vcpu => DebugOf(program.DebugRegisters(vcpu)))];
        _deadlines = [.. Enumerable.Range(0, vcpus).Select(vcpu => program.UsesDeadline(vcpu) ? TimerApic.PassedDeadline : 0)];
        for (var vcpu = 0; vcpu < vcpus; vcpu++)
            TimerApic.Arm(Lapics[vcpu], program.UsesDeadline(vcpu));
    }

    public TimerProgram Program { get; }

    public byte[] Memory { get; }

    public SequenceDevice Device { get; }

    /// <summary>struct kvm_lapic_state of each vCPU.</summary>
    public byte[][] Lapics { get; }

    /// <summary>struct kvm_vcpu_events of each vCPU.</summary>
    public byte[][] Events { get; }

    /// <summary>struct kvm_debugregs of each vCPU: db[4], dr6, dr7.</summary>
    public ulong[][] Debug { get; }

    /// <summary>Components of the vCPUs' state that verification does not get.</summary>
    public HashSet<ulong> LeftOut { get; } = [];

    /// <summary>struct kvm_regs of one vCPU.</summary>
    public Span<ulong> Registers(int vcpu) => _registers[vcpu];

    public Span<byte> Xsave(int vcpu) => _xsave[vcpu];

    public void DropXsave(int vcpu, int lengthBytes) => _xsave[vcpu] = _xsave[vcpu][..lengthBytes];

    public ref ulong Deadline(int vcpu) => ref _deadlines[vcpu];

    public ulong Word(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(Memory.AsSpan((int)address));

    public void SetWord(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Memory.AsSpan((int)address), value);

    /// <summary>n and 1.0 on the x87 stack.</summary>
    public void SetX87(int vcpu, ulong n)
    {
        var area = Xsave(vcpu);
        area[PresentComponents] |= 1;
        BinaryPrimitives.WriteUInt16LittleEndian(area[2..], 6 << 11); // The top is register 6 after two loads.
        area[4] = 0b1100_0000;
        WriteWhole(area[32..], n);
        WriteWhole(area[48..], 1);
    }

    /// <summary>Writes 64 bits of a vector at the place that the manual gives, and marks its component present.</summary>
    public void SetLane(int vcpu, int register, int lane, ulong value) => SetWordOfXsave(vcpu, PlaceOf(register, lane), value);

    public void SetMask(int vcpu, int register, ulong value) => SetWordOfXsave(vcpu, (5, Program.Xsave.MasksOffset + (8 * register)), value);

    /// <summary>What the guest loads before its first step.</summary>
    public void LoadVectors(int vcpu)
    {
        var page = Program.OwnPage(vcpu);
        for (var register = 0; register < 32; register++)
        {
            for (var lane = 0; lane < 8; lane++)
            {
                if (IsInUse(register, lane))
                    SetLane(vcpu, register, lane, Word(page + TimerCode.PageOfVectors + (ulong)((64 * register) + (8 * lane))));
            }
        }

        for (var register = 0; register < (Program.Options.UseZmm ? 8 : 0); register++)
            SetMask(vcpu, register, Word(page + TimerCode.PageOfMasks + (ulong)(8 * register)));
    }

    public void SetVector(int vcpu, int register, ulong n)
    {
        for (var lane = 0; lane < 8; lane++)
        {
            if (IsInUse(register, lane))
                SetLane(vcpu, register, lane, n);
        }
    }

    public GuestVerdict Verify() => Program.Verify(
        (address, destination) => Memory.AsSpan((int)address, destination.Length).CopyTo(destination),
        [.. Enumerable.Range(0, Program.Options.Vcpus).Select(StateOf)],
        Device);

    private StateList StateOf(int vcpu)
    {
        StateItem[] items =
        [
            new(StateIds.X64Regs, Bytes(_registers[vcpu])),
            new(StateIds.X64Xsave, _xsave[vcpu].ToArray()),
            new(StateIds.X64DebugRegs, Bytes([.. Debug[vcpu], .. new ulong[10]])),
            new(StateIds.X64Lapic, Lapics[vcpu].ToArray()),
            new(StateIds.X64VcpuEvents, Events[vcpu].ToArray()),
            new(StateIds.X64Msr((uint)TimerCode.DeadlineMsr), BitConverter.GetBytes(_deadlines[vcpu])),
        ];
        return StateList.Create(items.Where(item => !LeftOut.Contains(item.Id)));
    }

    private bool IsInUse(int register, int lane) => Program.Options switch
    {
        { UseZmm: true } => true,
        { UseYmm: true } => register < 16 && lane < 4,
        _ => register < 16 && lane < 2,
    };

    // Intel SDM volume 1, chapter 13.
    private (int Component, int Offset) PlaceOf(int register, int lane) => (register, lane) switch
    {
        (< 16, < 2) => (1, 160 + (16 * register) + (8 * lane)),
        (< 16, < 4) => (2, 576 + (16 * register) + (8 * (lane - 2))),
        (< 16, _) => (6, Program.Xsave.UpperHalvesOffset + (32 * register) + (8 * (lane - 4))),
        _ => (7, Program.Xsave.UpperRegistersOffset + (64 * (register - 16)) + (8 * lane)),
    };

    private void SetWordOfXsave(int vcpu, (int Component, int Offset) place, ulong value)
    {
        Xsave(vcpu)[PresentComponents] |= (byte)(1 << place.Component);
        BinaryPrimitives.WriteUInt64LittleEndian(Xsave(vcpu)[place.Offset..], value);
    }

    private static ulong[] InOrder(GeneralRegisters r) =>
    [
        r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rsp, r.Rbp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip, r.Rflags,
    ];

    private static ulong[] DebugOf(ulong[] wanted) => [.. wanted[..4], TimerCode.Dr6AtRest, wanted[4]];

    private static byte[] Bytes(ulong[] words) => MemoryMarshal.AsBytes(words.AsSpan()).ToArray();

    private static void WriteWhole(Span<byte> register, ulong value)
    {
        var zeros = System.Numerics.BitOperations.LeadingZeroCount(value);
        BinaryPrimitives.WriteUInt64LittleEndian(register, value == 0 ? 0 : value << zeros);
        BinaryPrimitives.WriteUInt16LittleEndian(register[8..], (ushort)(value == 0 ? 0 : 16383 + 63 - zeros));
    }
}
