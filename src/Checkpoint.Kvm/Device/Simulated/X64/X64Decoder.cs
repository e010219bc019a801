namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>Decodes the forms of <see cref="X64Kind"/> (Intel SDM volume 2) from up to 15 bytes.</summary>
internal ref partial struct X64Decoder(ReadOnlySpan<byte> code)
{
    private const byte NoRegister = 16; // The interpreter's seventeenth register, always 0.
    private const byte RelativeToRip = 17;

    private readonly ReadOnlySpan<byte> _code = code;
    private int _at;
    private byte _rex;
    private bool _has66;
    private bool _hasF3;
    private bool _isMemory;
    private X64Op _op;

    /// <summary>Decodes one instruction; false where the bytes end before it does.</summary>
    public bool TryDecode(out X64Op op)
    {
        Prefixes();
        if (_at < _code.Length)
            Opcode(Byte());
        _op.Length = (byte)_at;
        if (_isMemory && _op.Base == RelativeToRip)
            _op.Kind = X64Kind.Unknown;
        op = _op;
        return _at <= _code.Length && _at > 0;
    }

    private void Prefixes()
    {
        while (_at < _code.Length)
        {
            var prefix = _code[_at];
            if (prefix == 0x66)
                _has66 = true;
            else if (prefix == 0xf3)
                _hasF3 = true;
            else
                break;
            _at++;
        }

        if (_at < _code.Length && (_code[_at] & 0xf0) == 0x40)
            _rex = Byte();
        SetWidth((_rex & 8) != 0);
    }

    private void SetWidth(bool is64) => _op.Mask = is64 ? ulong.MaxValue : uint.MaxValue;

    private void Opcode(byte opcode)
    {
        if (opcode == 0x0f)
            TwoBytes(Byte());
        else if (opcode is 0xc4 or 0xc5)
            Vex(opcode == 0xc4);
        else if (IsPort(opcode))
            Port(opcode);
        else if (_has66)
            _op.Kind = X64Kind.Unknown; // 16 bits, which only port accesses have here.
        else if (_hasF3)
            _op.Kind = opcode == 0x90 && _rex == 0 ? X64Kind.Nop : X64Kind.Unknown; // PAUSE
        else if (opcode < 0x40)
            Arithmetic(opcode);
        else
            OneByte(opcode);
    }

    private void OneByte(byte opcode)
    {
        switch (opcode)
        {
            case >= 0x70 and <= 0x7f:
                Jump(X64Kind.Jcc, (byte)(opcode & 15), SignedByte());
                break;
            case 0x81 or 0x83:
                ModRm();
                Immediate(opcode == 0x83 ? SignedByte() : SignedInt());
                SetAlu((X64Alu)(_op.Reg & 7), X64Kind.AluRI, X64Kind.CmpRI);
                break;
            case 0x85:
                ModRm();
                SetKind(X64Kind.TestRR, X64Kind.Unknown);
                break;
            case 0x87:
                ModRm();
                SetKind(X64Kind.XchgRR, X64Kind.XchgMR);
                break;
            case 0x89:
                ModRm();
                SetKind(X64Kind.MovRR, X64Kind.MovMR);
                break;
            case 0x8b:
                ModRm();
                (_op.Reg, _op.Rm) = _isMemory ? (_op.Reg, _op.Rm) : (_op.Rm, _op.Reg);
                SetKind(X64Kind.MovRR, X64Kind.MovRM);
                break;
            case 0x8d:
                ModRm();
                SetKind(X64Kind.Unknown, X64Kind.Lea);
                break;
            case 0x90 when _rex == 0:
                _op.Kind = X64Kind.Nop;
                break;
            case 0xa8:
                // AL only: the mask keeps what is beyond it out of the result.
                _op.Mask = byte.MaxValue;
                Immediate(SignedByte());
                _op.Kind = X64Kind.TestRI;
                break;
            default:
                FurtherOneByte(opcode);
                break;
        }
    }

    private void FurtherOneByte(byte opcode)
    {
        switch (opcode)
        {
            case >= 0xb8 and <= 0xbf when (_rex & 8) == 0:
                _op.Rm = (byte)((opcode & 7) | ((_rex & 1) << 3));
                Immediate(SignedInt());
                _op.Kind = X64Kind.MovRI;
                break;
            case 0xc1:
                ModRm();
                Immediate(SignedByte());
                SetKind((_op.Reg & 7) switch { 4 => X64Kind.ShlRI, 5 => X64Kind.ShrRI, _ => X64Kind.Unknown }, X64Kind.Unknown);
                break;
            case 0xc7:
                ModRm();
                Immediate(SignedInt());
                SetKind((_op.Reg & 7) == 0 ? X64Kind.MovRI : X64Kind.Unknown, (_op.Reg & 7) == 0 ? X64Kind.MovMI : X64Kind.Unknown);
                break;
            case 0xd8 or 0xd9 or 0xdb:
                X87(opcode, Byte());
                break;
            case 0xe9:
                Jump(X64Kind.Jmp, 0, SignedInt());
                break;
            case 0xeb:
                Jump(X64Kind.Jmp, 0, SignedByte());
                break;
            case 0xf4:
                _op.Kind = X64Kind.Hlt;
                break;
            case 0xf7:
                ModRm();
                Immediate(SignedInt());
                SetKind((_op.Reg & 7) == 0 ? X64Kind.TestRI : X64Kind.Unknown, X64Kind.Unknown);
                break;
            default:
                _op.Kind = X64Kind.Unknown;
                break;
        }
    }

    // 00 to 3f: eight operations, each as r/m ← reg (1) and reg ← r/m (3); the forms of one byte and of eax are not used.
    private void Arithmetic(byte opcode)
    {
        var form = opcode & 7;
        if (form is not (1 or 3))
            return;
        ModRm();
        var alu = (X64Alu)(opcode >> 3);
        if (_isMemory)
        {
            _op.Alu = alu;
            _op.Kind = form == 3 && IsKnown(alu) ? X64Kind.AluRM : X64Kind.Unknown;
            return;
        }

        if (form == 3)
            (_op.Reg, _op.Rm) = (_op.Rm, _op.Reg);
        SetAlu(alu, X64Kind.AluRR, X64Kind.CmpRR);
    }

    private void TwoBytes(byte opcode)
    {
        switch (opcode)
        {
            case 0x0b:
                _op.Kind = X64Kind.Undefined;
                break;
            case >= 0x40 and <= 0x4f when !_has66:
                ModRm();
                _op.Detail = (byte)(opcode & 15);
                SetKind(X64Kind.CmovRR, X64Kind.Unknown);
                break;
            case >= 0x80 and <= 0x8f when !_has66:
                Jump(X64Kind.Jcc, (byte)(opcode & 15), SignedInt());
                break;
            case 0xaf when !_has66:
                ModRm();
                SetKind(X64Kind.ImulRR, X64Kind.ImulRM);
                break;
            case 0xb6 when !_has66:
                ModRm();
                // Without REX the numbers 4 to 7 are ah to bh, which the guests do not use.
                SetKind(_rex == 0 && _op.Rm is >= 4 and <= 7 ? X64Kind.Unknown : X64Kind.MovzxRB, X64Kind.Unknown);
                break;
            case 0x6e or 0x6c or 0xef or 0xd4 when _has66:
                ModRm();
                SetKind(VectorKind(opcode), X64Kind.Unknown);
                break;
            default:
                _op.Kind = X64Kind.Unknown;
                break;
        }
    }

    private readonly X64Kind VectorKind(byte opcode) => opcode switch
    {
        0x6e => (_rex & 8) != 0 ? X64Kind.MovqXR : X64Kind.Unknown,
        0x6c => X64Kind.Punpcklqdq,
        0xef => X64Kind.Pxor,
        _ => X64Kind.Paddq,
    };

    private void Vex(bool hasThreeBytes)
    {
        var first = Byte();
        var second = hasThreeBytes ? Byte() : first;
        var map = hasThreeBytes ? first & 31 : 1;
        // R, X, B stand inverted in the first byte; a prefix of two bytes has R alone.
        _rex = hasThreeBytes ? (byte)((~first >> 5) & 7) : (byte)((~first >> 5) & 4);
        _op.Second = (byte)((~second >> 3) & 15);
        _op.IsWide = (second & 4) != 0;
        var prefix = second & 3;
        var opcode = Byte();
        ModRm();
        var kind = (map, prefix, opcode) switch
        {
            (1, 1, 0xef) => X64Kind.VexPxor,
            (1, 1, 0xd4) => X64Kind.VexPaddq,
            (3, 1, 0x38) when _op.IsWide => X64Kind.VexInserti128,
            _ => X64Kind.Unknown,
        };
        if (kind == X64Kind.VexInserti128)
            Immediate(SignedByte());
        SetKind(kind, X64Kind.Unknown);
    }

    private void X87(byte opcode, byte second)
    {
        _op.Kind = (opcode, second) switch
        {
            (0xdb, 0xe3) => X64Kind.Fninit,
            (0xd9, 0xe8) => X64Kind.Fld1,
            (0xd9, 0xee) => X64Kind.Fldz,
            (0xd8, >= 0xc0 and <= 0xc7) => X64Kind.Fadd,
            _ => X64Kind.Unknown,
        };
        _op.Second = (byte)(second & 7);
    }

    // ADC and SBB are not: no guest carries.
    private static bool IsKnown(X64Alu alu) => alu is X64Alu.Add or X64Alu.Or or X64Alu.And or X64Alu.Sub or X64Alu.Xor;

    private static bool IsPort(byte opcode) => opcode is (>= 0xe4 and <= 0xe7) or (>= 0xec and <= 0xef);

    private void Port(byte opcode)
    {
        _op.IsWide = (opcode & 8) != 0;
        _op.Detail = (byte)((opcode & 1) == 0 ? 1 : _has66 ? 2 : 4);
        if (!_op.IsWide)
            Immediate(Byte());
        _op.Kind = _hasF3 ? X64Kind.Unknown : (opcode & 2) != 0 ? X64Kind.Out : X64Kind.In;
    }

    private void Jump(X64Kind kind, byte condition, long distance)
    {
        (_op.Kind, _op.Detail, _op.Displacement) = (kind, condition, (ulong)distance);
    }

    private void SetKind(X64Kind register, X64Kind memory) => _op.Kind = _isMemory ? memory : register;

    private void SetAlu(X64Alu alu, X64Kind kind, X64Kind compare)
    {
        _op.Alu = alu;
        _op.Kind = _isMemory ? X64Kind.Unknown : alu == X64Alu.Cmp ? compare : IsKnown(alu) ? kind : X64Kind.Unknown;
    }
}
