using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>Why the processor stopped before its budget was spent.</summary>
internal enum X64Stop : byte
{
    None,
    Io,
    Mmio,
    Halt,

    /// <summary>An exception: without an IDT it ends as a triple fault.</summary>
    Fault,
    UnknownInstruction,
}

/// <summary>The registers of a simulated processor, and the instructions that change them; the rest is in the other half.</summary>
internal sealed partial class X64Cpu
{
    private const ulong PageMask = 0xfff;
    private const int LongestInstruction = 15;

    /// <summary>Segments and control registers.</summary>
    public kvm_sregs2 Special;

    private readonly X64PageWalk _tables;
    private readonly GuestView _memory;
    private readonly X64Op[] _decoded = new X64Op[4096];
    private ulong _codePage = ulong.MaxValue;
    private int _generation = 1;
    private X64Flags _flags;
    private ulong _otherFlags = 2;

    public X64Cpu(SimulatedSlots slots, X64ExtendedState extended, in kvm_sregs2 special)
    {
        _tables = new X64PageWalk();
        _memory = new GuestView(slots, _tables);
        Extended = extended;
        Special = special;
    }

    /// <summary>The general registers in the order of instructions, and a last one that is always 0.</summary>
    public ulong[] R { get; } = ResetRegisters();

    public ulong Rip { get; set; } = 0xfff0;

    public ulong Rflags
    {
        get => _otherFlags | _flags.Value;
        set => (_otherFlags, _flags.Value) = (value & ~X64Flags.Arithmetic, value);
    }

    public ulong Xcr0 { get; set; } = 1;

    public X64ExtendedState Extended { get; }

    /// <summary>Why <see cref="Run"/> ended.</summary>
    public X64Stop Stopped { get; private set; }

    /// <summary>The access to finish, where it stopped for one.</summary>
    public PendingAccess Access { get; private set; }

    /// <summary>What that access writes.</summary>
    public ulong AccessValue { get; private set; }

    /// <summary>Forgets translations and decoded code: memory, tables or control registers may be others now.</summary>
    public void Flush()
    {
        _tables.Root = Special.cr3;
        _memory.Flush();
        _generation++;
    }

    /// <summary>Executes instructions.</summary>
    /// <returns>How many were completed; the one that stopped it is not among them.</returns>
    public int Run(int budget)
    {
        Stopped = IsLongMode ? X64Stop.None : X64Stop.UnknownInstruction;
        if (Stopped != X64Stop.None)
            return 0;
        var r = R;
        var executed = 0;
        for (; executed < budget; executed++)
        {
            ref var op = ref Decoded(Rip);
            switch (op.Kind)
            {
                case X64Kind.MovRR:
                    r[op.Rm] = r[op.Reg] & op.Mask;
                    break;
                case X64Kind.MovRI:
                    r[op.Rm] = op.Immediate & op.Mask;
                    break;
                case X64Kind.AluRR:
                    r[op.Rm] = Compute(op.Alu, r[op.Rm], r[op.Reg], op.Mask);
                    break;
                case X64Kind.AluRI:
                    r[op.Rm] = Compute(op.Alu, r[op.Rm], op.Immediate, op.Mask);
                    break;
                case X64Kind.CmpRR:
                    _flags.Subtract(r[op.Rm], r[op.Reg], op.Mask);
                    break;
                case X64Kind.CmpRI:
                    _flags.Subtract(r[op.Rm], op.Immediate, op.Mask);
                    break;
                case X64Kind.TestRR:
                    _flags.Logic(r[op.Rm] & r[op.Reg], op.Mask);
                    break;
                case X64Kind.TestRI:
                    _flags.Logic(r[op.Rm] & op.Immediate, op.Mask);
                    break;
                case X64Kind.ImulRR:
                    r[op.Reg] = _flags.Multiply(r[op.Reg], r[op.Rm], op.Mask);
                    break;
                case X64Kind.Jcc:
                    Rip += _flags.Holds(op.Detail) ? op.Displacement : 0;
                    break;
                case X64Kind.Jmp:
                    Rip += op.Displacement;
                    break;
                default:
                    if (!ExecuteOther(in op))
                        return executed;
                    break;
            }

            Rip += op.Length;
        }

        return executed;
    }

    private static ulong[] ResetRegisters()
    {
        var registers = new ulong[17];
        registers[2] = 0x600; // RDX: the processor's signature, as KVM leaves it.
        return registers;
    }

    private bool IsLongMode => (Special.efer & X64Special.EferLma) != 0 && Special.cs.l != 0;

    private ulong Compute(X64Alu alu, ulong left, ulong right, ulong mask) => alu switch
    {
        X64Alu.Add => _flags.Add(left, right, mask),
        X64Alu.Sub => _flags.Subtract(left, right, mask),
        X64Alu.And => _flags.Logic(left & right, mask),
        X64Alu.Or => _flags.Logic(left | right, mask),
        _ => _flags.Logic(left ^ right, mask),
    };

    private ref X64Op Decoded(ulong rip)
    {
        if ((rip & ~PageMask) != _codePage)
        {
            _codePage = rip & ~PageMask;
            _generation++;
        }

        ref var op = ref _decoded[(int)(rip & PageMask)];
        if (op.Generation != _generation)
            Decode(rip, ref op);
        return ref op;
    }

    private void Decode(ulong rip, ref X64Op op)
    {
        Span<byte> bytes = stackalloc byte[LongestInstruction];
        var length = _memory.Fetch(rip, bytes);
        var isWhole = new X64Decoder(bytes[..length]).TryDecode(out op);
        // Code that can't be fetched is a page fault, whatever it would have been.
        if (!isWhole)
            op.Kind = X64Kind.Undefined;
        op.Generation = _generation;
    }

    private bool Stop(X64Stop reason)
    {
        Stopped = reason;
        return false;
    }
}
