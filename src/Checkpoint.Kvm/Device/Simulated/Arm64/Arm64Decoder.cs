using System.Numerics;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>Decodes the forms of <see cref="Arm64Kind"/> (Arm ARM, C4.1).</summary>
internal static class Arm64Decoder
{
    public static Arm64Op Decode(uint code)
    {
        var op = new Arm64Op
        {
            Target = (byte)(code & 31),
            First = (byte)((code >> 5) & 31),
            Second = (byte)((code >> 16) & 31),
            Third = (byte)((code >> 10) & 31),
            Mask = code >> 31 != 0 ? ulong.MaxValue : uint.MaxValue,
        };
        switch ((code >> 25) & 15)
        {
            case 8 or 9:
                Immediates(code, ref op);
                break;
            case 10 or 11:
                Branches(code, ref op);
                break;
            case 4 or 6 or 12 or 14:
                Memory(code, ref op);
                break;
            case 5 or 13:
                Registers(code, ref op);
                break;
            case 7 or 15:
                Vectors(code, ref op);
                break;
            default:
                break;
        }

        return op;
    }

    private static void Immediates(uint code, ref Arm64Op op)
    {
        var opc = (code >> 29) & 3;
        op.Second = Arm64Op.Zero;
        switch ((code >> 23) & 7)
        {
            case 2: // ADD, ADDS, SUB, SUBS: 31 is the stack pointer, but for the result of those that set flags
                op.Kind = (opc & 2) == 0 ? Arm64Kind.Add : Arm64Kind.Subtract;
                op.IsFlagged = (opc & 1) != 0;
                op.Number = ((ulong)(code >> 10) & 0xfff) << ((code & (1 << 22)) != 0 ? 12 : 0);
                op.First = StackPointerFor31(op.First);
                op.Target = op.IsFlagged ? SinkFor31(op.Target) : StackPointerFor31(op.Target);
                break;
            case 4: // AND, ORR, EOR, ANDS
                if (!TryBitMask(code, op.Mask, out op.Number))
                    return;
                op.Kind = LogicOf(opc);
                op.IsFlagged = opc == 3;
                op.Target = op.IsFlagged ? SinkFor31(op.Target) : StackPointerFor31(op.Target);
                break;
            case 5 when opc == 2: // MOVZ
                op.Kind = Arm64Kind.Move;
                op.Number = ((ulong)(code >> 5) & 0xffff) << (int)(16 * ((code >> 21) & 3));
                op.Target = SinkFor31(op.Target);
                break;
            case 6 when opc == 2: // UBFM, of which LSL and LSR are forms
                op.Kind = Arm64Kind.UnsignedField;
                op.Shift = (byte)((code >> 16) & 63);
                op.Detail = (byte)((code >> 10) & 63);
                op.Target = SinkFor31(op.Target);
                break;
            default:
                break;
        }
    }

    private static void Branches(uint code, ref Arm64Op op)
    {
        if ((code & 0xfc00_0000) == 0x1400_0000)
        {
            (op.Kind, op.Number) = (Arm64Kind.Branch, Distance(code, 0, 26));
        }
        else if ((code & 0xff00_0010) == 0x5400_0000)
        {
            (op.Kind, op.Number, op.Detail) = (Arm64Kind.BranchIf, Distance(code, 5, 19), (byte)(code & 15));
        }
        else if ((code & 0x7e00_0000) == 0x3400_0000)
        {
            (op.Kind, op.Number) = (Arm64Kind.BranchIfZero, Distance(code, 5, 19));
            op.IsFlagged = (code & (1 << 24)) != 0;
        }
        else if ((code & 0x7e00_0000) == 0x3600_0000)
        {
            (op.Kind, op.Number) = (Arm64Kind.BranchIfBit, Distance(code, 5, 14));
            op.IsFlagged = (code & (1 << 24)) != 0;
            op.Detail = (byte)(((code >> 19) & 31) | ((code >> 31) << 5));
        }
        else if ((code & 0xffff_f01f) == 0xd503_201f)
        {
            // Hints: what is not known does nothing, by definition.
            op.Kind = (code >> 5 & 0x7f) == 3 ? Arm64Kind.WaitForInterrupt : Arm64Kind.Nothing;
        }
        else if (code == 0xd400_0002)
        {
            op.Kind = Arm64Kind.HypervisorCall;
        }
    }

    private static void Memory(uint code, ref Arm64Op op)
    {
        var size = (int)(code >> 30);
        op.Detail = (byte)(1 << size);
        op.Mask = ulong.MaxValue >> (64 - (8 << size));
        op.First = StackPointerFor31(op.First);
        var isLoad = ((code >> 22) & 3) == 1;
        var isPlain = ((code >> 22) & 3) <= 1;
        if ((code & 0x3f00_0000) == 0x3900_0000 && isPlain)
        {
            // An offset in units of the access.
            op.Kind = isLoad ? Arm64Kind.Load : Arm64Kind.Store;
            op.Number = (ulong)((code >> 10) & 0xfff) << size;
            op.Second = Arm64Op.Zero;
        }
        else if ((code & 0x3f20_ec00) == 0x3820_6800 && isPlain)
        {
            // A register, shifted by the access's size or not; UXTX alone.
            op.Kind = isLoad ? Arm64Kind.Load : Arm64Kind.Store;
            op.Shift = (byte)((code & (1 << 12)) != 0 ? size : 0);
        }
        else if ((code & 0xffe0_fc00) == 0xf8e0_8000)
        {
            op.Kind = Arm64Kind.Swap; // SWPAL of 64 bits
        }

        if (isLoad || op.Kind == Arm64Kind.Swap)
            op.Target = SinkFor31(op.Target);
    }

    private static void Registers(uint code, ref Arm64Op op)
    {
        var opc = (code >> 29) & 3;
        op.Target = SinkFor31(op.Target);
        var isShiftedLeft = ((code >> 22) & 3) == 0;
        op.Shift = (byte)((code >> 10) & 63);
        if ((code & 0x1f20_0000) == 0x0b00_0000 && isShiftedLeft)
        {
            op.Kind = (opc & 2) == 0 ? Arm64Kind.Add : Arm64Kind.Subtract;
            op.IsFlagged = (opc & 1) != 0;
        }
        else if ((code & 0x1f20_0000) == 0x0a00_0000 && isShiftedLeft)
        {
            op.Kind = LogicOf(opc);
            op.IsFlagged = opc == 3;
        }
        else if ((code & 0x7fe0_0000) == 0x1b00_0000)
        {
            op.Kind = (code & (1 << 15)) == 0 ? Arm64Kind.MultiplyAdd : Arm64Kind.MultiplySubtract;
        }
        else if ((code & 0x7fe0_0c00) == 0x1a80_0000)
        {
            (op.Kind, op.Detail) = (Arm64Kind.Select, (byte)((code >> 12) & 15));
        }
    }

    private static void Vectors(uint code, ref Arm64Op op)
    {
        if ((code & 0xffff_ffe0) == 0x6f00_e400)
            op.Kind = Arm64Kind.MoveVectorZero; // MOVI Vd.2D, #0
        else if ((code & 0xffff_fc00) == 0x4e08_0c00)
            op.Kind = Arm64Kind.Duplicate; // DUP Vd.2D, Xn
        else if ((code & 0xffe0_fc00) == 0x4ee0_8400)
            op.Kind = Arm64Kind.AddVector; // ADD Vd.2D, Vn.2D, Vm.2D
    }

    private static Arm64Kind LogicOf(uint opc) => opc switch { 1 => Arm64Kind.Or, 2 => Arm64Kind.Xor, _ => Arm64Kind.And };

    private static byte StackPointerFor31(byte register) => register == 31 ? Arm64Op.StackPointer : register;

    private static byte SinkFor31(byte register) => register == 31 ? Arm64Op.Sink : register;

    // A signed number of instructions, of so many bits.
    private static ulong Distance(uint code, int shift, int bits) => (ulong)((long)((ulong)(code >> shift) << (64 - bits)) >> (62 - bits));

    // A pattern of ones, rotated and repeated (Arm ARM, DecodeBitMasks).
    private static bool TryBitMask(uint code, ulong mask, out ulong value)
    {
        value = 0;
        var isWide = (code & (1 << 22)) != 0;
        var (rotate, ones) = ((int)(code >> 16) & 63, (int)(code >> 10) & 63);
        if (isWide && mask != ulong.MaxValue)
            return false;
        var length = isWide ? 6 : 31 - BitOperations.LeadingZeroCount((uint)~ones & 0x3f);
        if (length < 1)
            return false;
        var size = 1 << length;
        (rotate, ones) = (rotate & (size - 1), ones & (size - 1));
        if (ones == size - 1)
            return false;
        var element = (1UL << (ones + 1)) - 1;
        if (rotate != 0)
            element = (element >> rotate) | (element << (size - rotate));
        if (size < 64)
            element &= (1UL << size) - 1;
        for (var at = 0; at < 64; at += size)
            value |= element << at;
        value &= mask;
        return true;
    }
}
