using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Reads x87 and vector registers out of an XSAVE area in the standard format (Intel SDM volume 1, chapter 13), or out
/// of the 512 bytes of FXSAVE with which it begins.
/// </summary>
internal readonly ref struct XsaveView(ReadOnlySpan<byte> area, XsaveLayout layout = default)
{
    private const int LegacyBytes = 512;
    private const int PresentComponents = 512;
    private const int HighHalves = 576;
    private const int HighHalvesBytes = 256;
    private const int X87Component = 0;
    private const int SseComponent = 1;
    private const int AvxComponent = 2;
    private const int MasksComponent = 5;
    private const int UpperHalvesComponent = 6;
    private const int UpperRegistersComponent = 7;
    private const int FirstUpperRegister = 16;
    private const int Bias = 16383;

    private readonly ReadOnlySpan<byte> _area = area;
    private readonly XsaveLayout _layout = layout;

    public bool HasLegacyRegisters => _area.Length >= LegacyBytes;

    public bool HasHighHalves => _area.Length >= HighHalves + HighHalvesBytes;

    /// <summary>Whether there is room for the registers of AVX-512 at the places that the layout gives.</summary>
    public bool HasAvx512 => _layout.IsKnown && _area.Length >= _layout.End;

    /// <summary>The value of st(i) if it is a whole number of 64 bits; null if it is empty or anything else.</summary>
    public ulong? WholeNumberInSt(int i)
    {
        if (!Present(X87Component))
        {
            return null; // The initial state: all eight registers are empty.
        }

        var status = BinaryPrimitives.ReadUInt16LittleEndian(_area[2..]);
        var physical = ((status >> 11) + i) & 7; // The tags are by physical register, the contents by distance from the top.
        if ((_area[4] & (1 << physical)) == 0)
        {
            return null;
        }

        var register = _area.Slice(32 + (16 * i), 10);
        var mantissa = BinaryPrimitives.ReadUInt64LittleEndian(register);
        var signAndExponent = BinaryPrimitives.ReadUInt16LittleEndian(register[8..]);
        if (mantissa == 0 && signAndExponent == 0)
        {
            return 0;
        }

        var fractionBits = 63 - (signAndExponent - Bias);
        var whole = fractionBits is >= 0 and < 64
            && mantissa >> 63 == 1
            && (mantissa & ((1UL << fractionBits) - 1)) == 0;
        return whole ? mantissa >> fractionBits : null;
    }

    /// <summary>64 bits of a vector register: lanes 0 and 1 are xmm, 2 and 3 the high half of ymm, 4 to 7 the high half of zmm.</summary>
    public ulong Lane(int register, int lane)
    {
        var (component, start) = (register, lane) switch
        {
            ( >= FirstUpperRegister, _) => (UpperRegistersComponent, _layout.UpperRegistersOffset + (64 * (register - FirstUpperRegister)) + (8 * lane)),
            (_, >= 4) => (UpperHalvesComponent, _layout.UpperHalvesOffset + (32 * register) + (8 * (lane - 4))),
            (_, >= 2) => (AvxComponent, HighHalves + (16 * register) + (8 * (lane - 2))),
            _ => (SseComponent, 160 + (16 * register) + (8 * lane)),
        };
        return Word(component, start);
    }

    /// <summary>The mask register k0 to k7.</summary>
    public ulong Mask(int register) => Word(MasksComponent, _layout.MasksOffset + (8 * register));

    // The initial state of a vector or a mask is zero, whatever the bytes are.
    private ulong Word(int component, int start) => Present(component) ? BinaryPrimitives.ReadUInt64LittleEndian(_area[start..]) : 0;

    private bool Present(int component) =>
        _area.Length <= LegacyBytes || ((_area[PresentComponents] >> component) & 1) != 0;
}
