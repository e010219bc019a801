using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Reads x87 and vector registers out of an XSAVE area in the standard format (Intel SDM volume 1, chapter 13), or out
/// of the 512 bytes of FXSAVE with which it begins.
/// </summary>
internal readonly ref struct XsaveView(ReadOnlySpan<byte> area)
{
    private const int LegacyBytes = 512;
    private const int PresentComponents = 512;
    private const int HighHalves = 576;
    private const int HighHalvesBytes = 256;
    private const int X87Component = 0;
    private const int SseComponent = 1;
    private const int AvxComponent = 2;
    private const int Bias = 16383;

    private readonly ReadOnlySpan<byte> _area = area;

    public bool HasLegacyRegisters => _area.Length >= LegacyBytes;

    public bool HasHighHalves => _area.Length >= HighHalves + HighHalvesBytes;

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

    /// <summary>Lane 0 or 1 of an xmm register; lanes 2 and 3 are the high half of the ymm register.</summary>
    public ulong Lane(int register, int lane)
    {
        var high = lane >= 2;
        if (!Present(high ? AvxComponent : SseComponent))
        {
            return 0; // The initial state, whatever the bytes are.
        }

        var start = high ? HighHalves + (16 * register) : 160 + (16 * register);
        return BinaryPrimitives.ReadUInt64LittleEndian(_area[(start + (8 * (lane & 1)))..]);
    }

    private bool Present(int component) =>
        _area.Length <= LegacyBytes || ((_area[PresentComponents] >> component) & 1) != 0;
}
