using System.Numerics;
using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>
/// The arithmetic flags, made only when somebody looks: most are overwritten unseen. What the manual leaves undefined is made in
/// one way always.
/// </summary>
[StructLayout(LayoutKind.Auto)]
internal struct X64Flags
{
    public const ulong Arithmetic = Carry | Parity | Adjust | Zero | Sign | Overflow;

    private const ulong Carry = 1 << 0;
    private const ulong Parity = 1 << 2;
    private const ulong Adjust = 1 << 4;
    private const ulong Zero = 1 << 6;
    private const ulong Sign = 1 << 7;
    private const ulong Overflow = 1 << 11;

    private ulong _made;
    private ulong _left;
    private ulong _right;
    private ulong _result;
    private ulong _mask;
    private Origin _origin;

    private enum Origin : byte
    {
        Made,
        Add,
        Subtract,
        Logic,
        Multiply,
        ShiftLeft,
        ShiftRight,
    }

    public ulong Value
    {
        get
        {
            if (_origin != Origin.Made)
                Make();
            return _made;
        }

        set => (_made, _origin) = (value & Arithmetic, Origin.Made);
    }

    public ulong Add(ulong left, ulong right, ulong mask)
    {
        var result = (left + right) & mask;
        Note(Origin.Add, left & mask, right & mask, result, mask);
        return result;
    }

    public ulong Subtract(ulong left, ulong right, ulong mask)
    {
        var result = (left - right) & mask;
        Note(Origin.Subtract, left & mask, right & mask, result, mask);
        return result;
    }

    public ulong Logic(ulong result, ulong mask)
    {
        result &= mask;
        Note(Origin.Logic, 0, 0, result, mask);
        return result;
    }

    public ulong ShiftLeft(ulong value, int count, ulong mask)
    {
        value &= mask;
        var result = (value << count) & mask;
        if (count != 0)
            Note(Origin.ShiftLeft, value, (ulong)count, result, mask);
        return result;
    }

    public ulong ShiftRight(ulong value, int count, ulong mask)
    {
        value &= mask;
        var result = value >> count;
        if (count != 0)
            Note(Origin.ShiftRight, value, (ulong)count, result, mask);
        return result;
    }

    public ulong Multiply(ulong left, ulong right, ulong mask)
    {
        var result = (left * right) & mask;
        Note(Origin.Multiply, left, right, result, mask);
        return result;
    }

    /// <summary>Whether a condition holds; conditions are numbered as in the opcodes of conditional jumps.</summary>
    public bool Holds(int condition)
    {
        // The conditions that guests test all the time, without making all flags.
        var isNegated = (condition & 1) != 0;
        if (_origin != Origin.Made)
        {
            if (condition >> 1 == 2)
                return (_result == 0) != isNegated;
            if (condition >> 1 == 1 && _origin == Origin.Subtract)
                return (_left < _right) != isNegated;
            Make();
        }

        var isSignOdd = ((_made & Sign) != 0) != ((_made & Overflow) != 0);
        var holds = (condition >> 1) switch
        {
            0 => (_made & Overflow) != 0,
            1 => (_made & Carry) != 0,
            2 => (_made & Zero) != 0,
            3 => (_made & (Carry | Zero)) != 0,
            4 => (_made & Sign) != 0,
            5 => (_made & Parity) != 0,
            6 => isSignOdd,
            _ => isSignOdd || (_made & Zero) != 0,
        };
        return holds != isNegated;
    }

    private void Note(Origin origin, ulong left, ulong right, ulong result, ulong mask)
    {
        _origin = origin;
        _left = left;
        _right = right;
        _result = result;
        _mask = mask;
    }

    // IMUL sets carry and overflow where the signed product did not fit.
    private readonly bool IsProductWhole()
    {
        if (_mask != ulong.MaxValue)
            return (long)(int)_left * (int)_right == (int)_result;
        var high = Math.BigMul((long)_left, (long)_right, out var low);
        return high == low >> 63;
    }

    private void Make()
    {
        var sign = _mask ^ (_mask >> 1);
        var flags = (_result == 0 ? Zero : 0)
            | ((_result & sign) != 0 ? Sign : 0)
            | ((BitOperations.PopCount(_result & 0xff) & 1) == 0 ? Parity : 0);
        switch (_origin)
        {
            case Origin.Add:
                flags |= (_result < _left ? Carry : 0)
                    | ((_left ^ _right ^ _result) & Adjust)
                    | (((_left ^ _result) & (_right ^ _result) & sign) != 0 ? Overflow : 0);
                break;
            case Origin.Subtract:
                flags |= (_left < _right ? Carry : 0)
                    | ((_left ^ _right ^ _result) & Adjust)
                    | (((_left ^ _right) & (_left ^ _result) & sign) != 0 ? Overflow : 0);
                break;
            case Origin.Multiply:
                flags |= IsProductWhole() ? 0 : Carry | Overflow;
                break;
            case Origin.ShiftLeft:
                var last = (_left << (int)(_right - 1)) & sign;
                flags |= (last != 0 ? Carry : 0) | ((last ^ _result) & sign) switch { 0 => 0UL, _ => Overflow };
                break;
            case Origin.ShiftRight:
                flags |= ((_left >> (int)(_right - 1)) & 1) | ((_left & sign) != 0 ? Overflow : 0);
                break;
            default:
                break;
        }

        (_made, _origin) = (flags, Origin.Made);
    }
}
