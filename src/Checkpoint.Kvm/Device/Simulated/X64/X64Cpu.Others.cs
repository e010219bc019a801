namespace Checkpoint.Kvm.Device.Simulated.X64;

internal sealed partial class X64Cpu
{
    private const ulong IoPrivilege = 3 << 12;

    // Memory, ports, vectors: an instruction that stops leaves everything as it was.
    private bool ExecuteOther(in X64Op op)
    {
        switch (op.Kind)
        {
            case X64Kind.MovMR:
                return Store(op, R[op.Reg]);
            case X64Kind.MovMI:
                return Store(op, op.Immediate);
            case X64Kind.MovRM:
                return Load(op);
            case X64Kind.AluRM:
                if (!TryRead(op, out var operand))
                    return false;
                R[op.Reg] = Compute(op.Alu, R[op.Reg], operand, op.Mask);
                return true;
            case X64Kind.ImulRM:
                if (!TryRead(op, out var factor))
                    return false;
                R[op.Reg] = _flags.Multiply(R[op.Reg], factor, op.Mask);
                return true;
            case X64Kind.Lea:
                R[op.Reg] = AddressOf(op) & op.Mask;
                return true;
            case X64Kind.ShlRI:
                R[op.Rm] = _flags.ShiftLeft(R[op.Rm], ShiftCount(op), op.Mask);
                return true;
            case X64Kind.ShrRI:
                R[op.Rm] = _flags.ShiftRight(R[op.Rm], ShiftCount(op), op.Mask);
                return true;
            case X64Kind.CmovRR:
                // Of 32 bits the upper half is cleared even where nothing moves.
                R[op.Reg] = (_flags.Holds(op.Detail) ? R[op.Rm] : R[op.Reg]) & op.Mask;
                return true;
            case X64Kind.MovzxRB:
                R[op.Reg] = (byte)R[op.Rm];
                return true;
            case X64Kind.XchgRR:
                (R[op.Rm], R[op.Reg]) = (R[op.Reg] & op.Mask, R[op.Rm] & op.Mask);
                return true;
            case X64Kind.XchgMR:
                return Exchange(op);
            case X64Kind.Nop:
                return true;
            case X64Kind.In or X64Kind.Out:
                return UsePort(op);
            case X64Kind.Hlt:
                return HaltAt(op);
            case X64Kind.Undefined:
                return Stop(X64Stop.Fault);
            case X64Kind.Unknown:
                return Stop(X64Stop.UnknownInstruction);
            default:
                return ExecuteVector(op);
        }
    }

    private static int ShiftCount(in X64Op op) => (int)op.Immediate & (op.Mask == ulong.MaxValue ? 63 : 31);

    private static int SizeOf(in X64Op op) => op.Mask == ulong.MaxValue ? 8 : 4;

    private ulong AddressOf(in X64Op op) => R[op.Base] + (R[op.Index] << op.Shift) + op.Displacement;

    private bool Load(in X64Op op)
    {
        var access = _memory.Load(AddressOf(op), SizeOf(op), out var value);
        if (access == GuestAccess.Done)
        {
            R[op.Reg] = value;
            return true;
        }

        return access == GuestAccess.NoSlot ? AskMmio(op, isWrite: false, 0) : Stop(X64Stop.Fault);
    }

    private bool Store(in X64Op op, ulong value)
    {
        var address = AddressOf(op);
        var access = _memory.Store(address, SizeOf(op), value & op.Mask);
        if (access == GuestAccess.Done)
        {
            // Code that changes itself is decoded anew.
            if ((address & ~PageMask) == _codePage)
                _generation++;
            return true;
        }

        return access == GuestAccess.NoSlot ? AskMmio(op, isWrite: true, value & op.Mask) : Stop(X64Stop.Fault);
    }

    // Operands of arithmetic in memory without a slot: KVM emulates them, this does not.
    private bool TryRead(in X64Op op, out ulong value)
    {
        var access = _memory.Load(AddressOf(op), SizeOf(op), out value);
        return access == GuestAccess.Done || Stop(access == GuestAccess.Fault ? X64Stop.Fault : X64Stop.UnknownInstruction);
    }

    private bool Exchange(in X64Op op)
    {
        var address = AddressOf(op);
        if (SizeOf(op) != 8 || (address & 7) != 0)
            return Stop(X64Stop.UnknownInstruction);
        var access = _memory.Exchange(address, ref R[op.Reg]);
        return access == GuestAccess.Done || Stop(access == GuestAccess.Fault ? X64Stop.Fault : X64Stop.UnknownInstruction);
    }

    private bool AskMmio(in X64Op op, bool isWrite, ulong value)
    {
        Access = new PendingAccess(_memory.PhysicalAddress, SizeOf(op), isWrite, op.Reg, SizeOf(op), Rip + op.Length);
        AccessValue = value;
        return Stop(X64Stop.Mmio);
    }

    private bool UsePort(in X64Op op)
    {
        var port = (ushort)(op.IsWide ? R[2] : op.Immediate);
        if (!MayUse(port, op.Detail))
            return Stop(X64Stop.Fault);
        // The accumulator is where a port's data come from and go to.
        Access = new PendingAccess(port, op.Detail, op.Kind == X64Kind.Out, 0, op.Detail, Rip + op.Length);
        AccessValue = R[0] & (ulong.MaxValue >> (64 - (8 * op.Detail)));
        return Stop(X64Stop.Io);
    }

    // User mode needs IOPL, or a clear bit for each byte in the map of the task state segment (Intel SDM volume 1, 19.5.2).
    private bool MayUse(ushort port, int bytes)
    {
        const ulong mapPointer = 0x66;
        if (Special.ss.dpl <= (int)((_otherFlags & IoPrivilege) >> 12))
            return true;
        var task = Special.tr;
        if (task.limit < mapPointer + 1
            || !_memory.TryReadByte(task.@base + mapPointer, isUser: false, out var low)
            || !_memory.TryReadByte(task.@base + mapPointer + 1, isUser: false, out var high))
        {
            return false;
        }

        var place = (ulong)(low | (high << 8)) + ((ulong)port >> 3);
        if (place + 1 > task.limit
            || !_memory.TryReadByte(task.@base + place, isUser: false, out var first)
            || !_memory.TryReadByte(task.@base + place + 1, isUser: false, out var second))
        {
            return false;
        }

        var bits = (first | (second << 8)) >> (port & 7);
        return (bits & ((1 << bytes) - 1)) == 0;
    }

    private bool HaltAt(in X64Op op)
    {
        if (Special.ss.dpl != 0)
            return Stop(X64Stop.Fault);
        Rip += op.Length;
        return Stop(X64Stop.Halt);
    }

    private bool ExecuteVector(in X64Op op)
    {
        var isVex = op.Kind >= X64Kind.VexPxor;
        var isX87 = op.Kind <= X64Kind.Fadd;
        if (isVex && ((Special.cr4 & X64Special.Cr4Xsave) == 0 || (Xcr0 & 6) != 6))
            return Stop(X64Stop.Fault);
        if (!isX87 && !isVex && (Special.cr4 & X64Special.Cr4Fxsr) == 0)
            return Stop(X64Stop.Fault);
        if (isX87)
        {
            Extended.TouchX87();
            return ExecuteX87(op) || Stop(X64Stop.UnknownInstruction);
        }

        var v = Extended.Vectors;
        var (target, source, second) = (4 * op.Reg, 4 * op.Rm, 4 * op.Second);
        if (isVex)
        {
            Extended.TouchAvx();
            ExecuteVex(op, v.AsSpan(target, 4), v.AsSpan(second, 4), v.AsSpan(source, 4));
            return true;
        }

        Extended.TouchSse();
        switch (op.Kind)
        {
            case X64Kind.MovqXR:
                (v[target], v[target + 1]) = (R[op.Rm], 0);
                break;
            case X64Kind.Punpcklqdq:
                v[target + 1] = v[source];
                break;
            case X64Kind.Pxor:
                (v[target], v[target + 1]) = (v[target] ^ v[source], v[target + 1] ^ v[source + 1]);
                break;
            default:
                (v[target], v[target + 1]) = (v[target] + v[source], v[target + 1] + v[source + 1]);
                break;
        }

        return true;
    }

    // The VEX forms clear what lies above their width.
    private static void ExecuteVex(in X64Op op, Span<ulong> target, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> second)
    {
        Span<ulong> result = stackalloc ulong[4];
        result.Clear();
        switch (op.Kind)
        {
            case X64Kind.VexPxor:
                for (var lane = 0; lane < (op.IsWide ? 4 : 2); lane++)
                    result[lane] = first[lane] ^ second[lane];
                break;
            case X64Kind.VexPaddq:
                for (var lane = 0; lane < (op.IsWide ? 4 : 2); lane++)
                    result[lane] = first[lane] + second[lane];
                break;
            default:
                first.CopyTo(result);
                second[..2].CopyTo(result[(2 * ((int)op.Immediate & 1))..]);
                break;
        }

        result.CopyTo(target);
    }

    private bool ExecuteX87(in X64Op op)
    {
        switch (op.Kind)
        {
            case X64Kind.Fninit:
                Extended.X87.Initialize();
                return true;
            case X64Kind.Fld1:
                return Extended.X87.Push(isOne: true);
            case X64Kind.Fldz:
                return Extended.X87.Push(isOne: false);
            default:
                return Extended.X87.Add(op.Second);
        }
    }
}
