using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The x87 registers, and the few operations that the guests use: on positive numbers, rounding to nearest.</summary>
internal sealed class X87
{
    private const ushort ControlAfterInit = 0x37f;
    private const int TopShift = 11;
    private const ushort TopMask = 7 << TopShift;
    private const ushort Inexact = 1 << 5;
    private const ushort RoundedUp = 1 << 9;
    private const ushort OneExponent = 16383;
    private const ushort Infinite = 0x7fff;
    private const ulong IntegerBit = 1UL << 63;
    private const int Registers = 32;
    private const int RegisterBytes = 16;

    private readonly ulong[] _mantissas = new ulong[8];
    private readonly ushort[] _exponents = new ushort[8];
    private ushort _control = ControlAfterInit;
    private ushort _status;
    private byte _tags;
    private ushort _opcode;
    private ulong _instruction;
    private ulong _data;

    private int Top => (_status & TopMask) >> TopShift;

    /// <summary>FNINIT; the registers themselves stay, marked empty.</summary>
    public void Initialize() => (_control, _status, _tags, _opcode, _instruction, _data) = (ControlAfterInit, 0, 0, 0, 0, 0);

    /// <summary>The initial state of the component in an XSAVE area.</summary>
    public void Reset()
    {
        Initialize();
        _mantissas.AsSpan().Clear();
        _exponents.AsSpan().Clear();
    }

    /// <summary>FLD1 or FLDZ. False where the stack has no room, which the interpreter does not do.</summary>
    public bool Push(bool isOne)
    {
        var top = (Top - 1) & 7;
        if ((_tags & (1 << top)) != 0)
            return false;
        _status = (ushort)((_status & ~(TopMask | RoundedUp)) | (top << TopShift));
        _tags |= (byte)(1 << top);
        (_mantissas[top], _exponents[top]) = isOne ? (IntegerBit, OneExponent) : (0UL, (ushort)0);
        return true;
    }

    /// <summary>FADD st(0), st(i). False for operands or a precision that the interpreter does not do.</summary>
    public bool Add(int i)
    {
        var a = Top;
        var b = (a + i) & 7;
        var areThere = (_tags & (1 << a)) != 0 && (_tags & (1 << b)) != 0;
        if (!areThere || (_control & 0xf3f) != 0x33f || !IsPlain(a) || !IsPlain(b))
            return false;
        _status &= unchecked((ushort)~RoundedUp);
        var (bigMantissa, bigExponent) = (_mantissas[a], _exponents[a]);
        var (smallMantissa, smallExponent) = (_mantissas[b], _exponents[b]);
        if (bigExponent < smallExponent)
            (bigMantissa, bigExponent, smallMantissa, smallExponent) = (smallMantissa, smallExponent, bigMantissa, bigExponent);
        if (smallMantissa == 0)
        {
            (_mantissas[a], _exponents[a]) = (bigMantissa, bigExponent);
            return true;
        }

        var distance = bigExponent - smallExponent;
        // What is shifted out stays, left-justified, as the part that decides how to round.
        var shifted = distance < 64 ? smallMantissa >> distance : 0;
        ulong lost = distance switch { 0 => 0, < 64 => smallMantissa << (64 - distance), 64 => smallMantissa, _ => 1 };
        var sum = bigMantissa + shifted;
        if (sum < bigMantissa)
        {
            lost = (sum << 63) | (lost >> 1) | (lost & 1);
            sum = (sum >> 1) | IntegerBit;
            bigExponent++;
        }

        return Round(a, sum, bigExponent, lost);
    }

    public void Save(Span<byte> area)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(area, _control);
        BinaryPrimitives.WriteUInt16LittleEndian(area[2..], _status);
        area[4] = _tags;
        BinaryPrimitives.WriteUInt16LittleEndian(area[6..], _opcode);
        BinaryPrimitives.WriteUInt64LittleEndian(area[8..], _instruction);
        BinaryPrimitives.WriteUInt64LittleEndian(area[16..], _data);
        for (var i = 0; i < 8; i++)
        {
            var register = area.Slice(Registers + (RegisterBytes * i), RegisterBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(register, _mantissas[(Top + i) & 7]);
            BinaryPrimitives.WriteUInt64LittleEndian(register[8..], _exponents[(Top + i) & 7]);
        }
    }

    public void Load(ReadOnlySpan<byte> area)
    {
        // Bit 6 of the control word is always set.
        _control = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(area) | 0x40);
        _status = BinaryPrimitives.ReadUInt16LittleEndian(area[2..]);
        _tags = area[4];
        _opcode = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(area[6..]) & 0x7ff);
        _instruction = BinaryPrimitives.ReadUInt64LittleEndian(area[8..]);
        _data = BinaryPrimitives.ReadUInt64LittleEndian(area[16..]);
        for (var i = 0; i < 8; i++)
        {
            var register = area.Slice(Registers + (RegisterBytes * i), RegisterBytes);
            _mantissas[(Top + i) & 7] = BinaryPrimitives.ReadUInt64LittleEndian(register);
            _exponents[(Top + i) & 7] = BinaryPrimitives.ReadUInt16LittleEndian(register[8..]);
        }
    }

    private bool Round(int register, ulong sum, ushort exponent, ulong lost)
    {
        if (lost != 0)
        {
            _status |= Inexact;
            var isUp = lost > IntegerBit || (lost == IntegerBit && (sum & 1) != 0);
            if (isUp)
            {
                _status |= RoundedUp;
                if (++sum == 0)
                {
                    sum = IntegerBit;
                    exponent++;
                }
            }
        }

        (_mantissas[register], _exponents[register]) = (sum, exponent);
        return exponent < Infinite;
    }

    // Zero, or a normal number above it.
    private bool IsPlain(int register) =>
        (_mantissas[register] == 0 && _exponents[register] == 0)
        || (_mantissas[register] >= IntegerBit && _exponents[register] is > 0 and < Infinite);
}
