namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>Why the processor stopped before its budget was spent.</summary>
internal enum Arm64Stop : byte
{
    None,
    Mmio,
    WaitForInterrupt,
    HypervisorCall,

    /// <summary>An unknown instruction, or a fault: exceptions are not taken here.</summary>
    Failure,
}

/// <summary>The registers that instructions use, and the instructions that change them.</summary>
internal sealed class Arm64Cpu
{
    private const ulong PageMask = 0xfff;
    private const int InstructionBytes = 4;
    private const uint Negative = 1u << 31;
    private const uint Zero = 1u << 30;
    private const uint Carry = 1u << 29;
    private const uint Overflow = 1u << 28;
    private const uint AllFlags = Negative | Zero | Carry | Overflow;
    private const int WordsPerVector = 32; // 2048 bits: the longest that SVE knows

    private readonly GuestView _memory;
    private readonly Arm64Op[] _decoded = new Arm64Op[4096 / InstructionBytes];
    private ulong _codePage = ulong.MaxValue;
    private int _generation = 1;
    private uint _flags;
    private ulong _otherState;

    public Arm64Cpu(SimulatedSlots slots)
    {
        Tables = new Arm64PageWalk();
        _memory = new GuestView(slots, Tables);
    }

    public Arm64PageWalk Tables { get; }

    /// <summary>x0 to x30, zero, the stack pointer of EL1, and one for results that nobody wants.</summary>
    public ulong[] R { get; } = new ulong[34];

    public ulong Pc { get; set; }

    /// <summary>PSTATE in the layout of SPSR_EL1.</summary>
    public ulong Pstate
    {
        get => _otherState | _flags;
        set => (_otherState, _flags) = (value & ~(ulong)AllFlags, (uint)value & AllFlags);
    }

    /// <summary>The 32 vector registers at the length of SVE's longest; V is the first two words of each.</summary>
    public ulong[] Vectors { get; } = new ulong[32 * WordsPerVector];

    public Arm64Stop Stopped { get; private set; }

    public PendingAccess Access { get; private set; }

    public ulong AccessValue { get; private set; }

    public Span<ulong> Vector(int number) => Vectors.AsSpan(number * WordsPerVector, WordsPerVector);

    /// <summary>Forgets translations and decoded code: memory, tables or control registers may be others now.</summary>
    public void Flush()
    {
        _memory.Flush();
        _generation++;
    }

    /// <summary>Executes instructions.</summary>
    /// <returns>How many were completed; the one that stopped it is not among them.</returns>
    public int Run(int budget)
    {
        Stopped = Arm64Stop.None;
        var r = R;
        var executed = 0;
        for (; executed < budget; executed++)
        {
            ref var op = ref Decoded(Pc);
            switch (op.Kind)
            {
                case Arm64Kind.Add:
                    r[op.Target] = Add(op, r[op.First], ((r[op.Second] << op.Shift) | op.Number) & op.Mask, carry: 0);
                    break;
                case Arm64Kind.Subtract:
                    r[op.Target] = Add(op, r[op.First], ~((r[op.Second] << op.Shift) | op.Number), carry: 1);
                    break;
                case Arm64Kind.And:
                    r[op.Target] = Logic(op, r[op.First] & ((r[op.Second] << op.Shift) | op.Number));
                    break;
                case Arm64Kind.Or:
                    r[op.Target] = (r[op.First] | (r[op.Second] << op.Shift) | op.Number) & op.Mask;
                    break;
                case Arm64Kind.Xor:
                    r[op.Target] = (r[op.First] ^ ((r[op.Second] << op.Shift) | op.Number)) & op.Mask;
                    break;
                case Arm64Kind.UnsignedField:
                    r[op.Target] = Field(op, r[op.First]);
                    break;
                case Arm64Kind.MultiplyAdd:
                    r[op.Target] = (r[op.Third] + (r[op.First] * r[op.Second])) & op.Mask;
                    break;
                case Arm64Kind.MultiplySubtract:
                    r[op.Target] = (r[op.Third] - (r[op.First] * r[op.Second])) & op.Mask;
                    break;
                case Arm64Kind.Select:
                    r[op.Target] = (Holds(op.Detail) ? r[op.First] : r[op.Second]) & op.Mask;
                    break;
                case Arm64Kind.Branch:
                    Pc += op.Number;
                    continue;
                case Arm64Kind.BranchIf:
                    Pc += Holds(op.Detail) ? op.Number : InstructionBytes;
                    continue;
                case Arm64Kind.BranchIfZero:
                    Pc += ((r[op.Target] & op.Mask) == 0) != op.IsFlagged ? op.Number : InstructionBytes;
                    continue;
                case Arm64Kind.BranchIfBit:
                    Pc += ((r[op.Target] >> op.Detail) & 1) != 0 == op.IsFlagged ? op.Number : InstructionBytes;
                    continue;
                default:
                    if (!ExecuteOther(in op))
                        return executed;
                    break;
            }

            Pc += InstructionBytes;
        }

        return executed;
    }

    private static ulong Field(in Arm64Op op, ulong value)
    {
        var (rotate, last) = (op.Shift, op.Detail);
        // Down to bit 0 from the rotation on, or up to where the register's width lets the field end.
        if (last >= rotate)
            return ((value & op.Mask) >> rotate) & (ulong.MaxValue >> (63 - (last - rotate)));
        var width = op.Mask == ulong.MaxValue ? 64 : 32;
        return ((value & (ulong.MaxValue >> (63 - last))) << (width - rotate)) & op.Mask;
    }

    private bool ExecuteOther(in Arm64Op op)
    {
        switch (op.Kind)
        {
            case Arm64Kind.Move:
                R[op.Target] = op.Number & op.Mask;
                return true;
            case Arm64Kind.Load:
                var loaded = _memory.Load(AddressOf(op), op.Detail, out var value);
                if (loaded != GuestAccess.Done)
                    return AskOrFail(op, loaded, isWrite: false);
                R[op.Target] = value;
                return true;
            case Arm64Kind.Store:
                var address = AddressOf(op);
                var stored = _memory.Store(address, op.Detail, R[op.Target] & op.Mask);
                if (stored != GuestAccess.Done)
                    return AskOrFail(op, stored, isWrite: true);
                // Code that changes itself is decoded anew.
                if ((address & ~PageMask) == _codePage)
                    _generation++;
                return true;
            case Arm64Kind.Swap:
                return Swap(op);
            case Arm64Kind.Nothing:
                return true;
            case Arm64Kind.WaitForInterrupt:
                Pc += InstructionBytes;
                return Stop(Arm64Stop.WaitForInterrupt);
            case Arm64Kind.HypervisorCall:
                Pc += InstructionBytes;
                return Stop(Arm64Stop.HypervisorCall);
            case Arm64Kind.MoveVectorZero:
                Vector(op.Target).Clear();
                return true;
            case Arm64Kind.Duplicate:
                SetVector(op.Target, R[op.First], R[op.First]);
                return true;
            case Arm64Kind.AddVector:
                var first = Vector(op.First);
                var second = Vector(op.Second);
                SetVector(op.Target, first[0] + second[0], first[1] + second[1]);
                return true;
            default:
                return Stop(Arm64Stop.Failure);
        }
    }

    private ulong AddressOf(in Arm64Op op) => R[op.First] + (R[op.Second] << op.Shift) + op.Number;

    // A write to V clears what SVE has above it.
    private void SetVector(int number, ulong low, ulong high)
    {
        var vector = Vector(number);
        vector.Clear();
        (vector[0], vector[1]) = (low, high);
    }

    private bool Swap(in Arm64Op op)
    {
        var address = R[op.First];
        var value = R[op.Second];
        if ((address & 7) != 0 || _memory.Exchange(address, ref value) != GuestAccess.Done)
            return Stop(Arm64Stop.Failure);
        R[op.Target] = value;
        return true;
    }

    private bool AskOrFail(in Arm64Op op, GuestAccess access, bool isWrite)
    {
        if (access != GuestAccess.NoSlot)
            return Stop(Arm64Stop.Failure);
        Access = new PendingAccess(_memory.PhysicalAddress, op.Detail, isWrite, op.Target, sizeof(ulong), Pc + InstructionBytes);
        AccessValue = isWrite ? R[op.Target] & op.Mask : 0;
        return Stop(Arm64Stop.Mmio);
    }

    private ulong Add(in Arm64Op op, ulong left, ulong right, ulong carry)
    {
        var mask = op.Mask;
        (left, right) = (left & mask, right & mask);
        var result = (left + right + carry) & mask;
        if (op.IsFlagged)
        {
            var sign = mask ^ (mask >> 1);
            _flags = ((result & sign) != 0 ? Negative : 0)
                | (result == 0 ? Zero : 0)
                | ((carry != 0 ? result <= left : result < left) ? Carry : 0)
                | (((left ^ result) & (right ^ result) & sign) != 0 ? Overflow : 0);
        }

        return result;
    }

    private ulong Logic(in Arm64Op op, ulong result)
    {
        result &= op.Mask;
        if (op.IsFlagged)
            _flags = ((result & (op.Mask ^ (op.Mask >> 1))) != 0 ? Negative : 0) | (result == 0 ? Zero : 0);
        return result;
    }

    private bool Holds(int condition)
    {
        var isOdd = ((_flags & Negative) != 0) != ((_flags & Overflow) != 0);
        var holds = (condition >> 1) switch
        {
            0 => (_flags & Zero) != 0,
            1 => (_flags & Carry) != 0,
            2 => (_flags & Negative) != 0,
            3 => (_flags & Overflow) != 0,
            4 => (_flags & (Carry | Zero)) == Carry,
            5 => !isOdd,
            6 => !isOdd && (_flags & Zero) == 0,
            _ => true,
        };
        // 14 and 15 both mean always.
        return condition >= 14 || holds != ((condition & 1) != 0);
    }

    private ref Arm64Op Decoded(ulong pc)
    {
        if ((pc & ~PageMask) != _codePage)
        {
            _codePage = pc & ~PageMask;
            _generation++;
        }

        ref var op = ref _decoded[(int)(pc & PageMask) / InstructionBytes];
        if (op.Generation != _generation)
        {
            var isThere = (pc & 3) == 0 & _memory.Load(pc, InstructionBytes, out var code) == GuestAccess.Done;
            op = isThere ? Arm64Decoder.Decode((uint)code) : default;
            op.Generation = _generation;
        }

        return ref op;
    }

    private bool Stop(Arm64Stop reason)
    {
        Stopped = reason;
        return false;
    }
}
