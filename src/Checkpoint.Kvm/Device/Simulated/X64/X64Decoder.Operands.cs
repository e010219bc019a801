using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Simulated.X64;

internal ref partial struct X64Decoder
{
    private void ModRm()
    {
        var modRm = Byte();
        var mode = modRm >> 6;
        _op.Reg = (byte)(((modRm >> 3) & 7) | ((_rex & 4) << 1));
        _isMemory = mode != 3;
        var rm = modRm & 7;
        _op.Rm = (byte)(rm | ((_rex & 1) << 3));
        if (!_isMemory)
            return;
        (_op.Base, _op.Index) = (_op.Rm, NoRegister);
        if (rm == 4)
        {
            var sib = Byte();
            var index = ((sib >> 3) & 7) | ((_rex & 2) << 2);
            _op.Index = index == 4 ? NoRegister : (byte)index;
            _op.Shift = (byte)(sib >> 6);
            rm = sib & 7;
            _op.Base = (byte)(rm | ((_rex & 1) << 3));
            if (rm == 5 && mode == 0)
                (_op.Base, mode) = (NoRegister, 2);
        }
        else if (rm == 5 && mode == 0)
        {
            (_op.Base, mode) = (RelativeToRip, 2);
        }

        _op.Displacement = (ulong)(mode switch { 1 => SignedByte(), 2 => SignedInt(), _ => 0 });
    }

    private void Immediate(long value) => _op.Immediate = (ulong)value;

    // Past the end it counts on, so that the caller sees that bytes were missing.
    private byte Byte() => _at < _code.Length ? _code[_at++] : Missing(1);

    private long SignedByte() => (sbyte)Byte();

    private long SignedInt()
    {
        if (_at + 4 > _code.Length)
            return Missing(16);
        _at += 4;
        return BinaryPrimitives.ReadInt32LittleEndian(_code[(_at - 4)..]);
    }

    private byte Missing(int bytes)
    {
        _at = _code.Length + bytes;
        return 0;
    }
}
