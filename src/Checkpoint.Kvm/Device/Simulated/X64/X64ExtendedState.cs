using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>
/// What XSAVE saves: x87, vector registers, and components that no guest here touches but that travel with the rest. In an
/// area, a component whose bit is clear is in its initial state, whatever its bytes are.
/// </summary>
internal sealed class X64ExtendedState(int areaBytes, ulong supported)
{
    private const int ControlAndStatus = 24;
    private const int ControlMask = 28;
    private const int VectorsInArea = 160;
    private const int SupportedInArea = 464; // Where the kernel tells in software-reserved bytes which components it has.
    private const int Header = 512;
    private const int HeaderBytes = 64;
    private const int HighHalves = 576;
    private const int Others = 832;
    private const int VectorBytes = 16;
    private const uint MxcsrAfterReset = 0x1f80;
    private const uint MxcsrKnown = 0x2ffff;
    private const ulong Fp = 1;
    private const ulong Sse = 2;
    private const ulong Avx = 4;

    private readonly byte[] _others = new byte[Math.Max(0, areaBytes - Others)];
    private ulong _inUse;
    private uint _mxcsr = MxcsrAfterReset;

    public X87 X87 { get; } = new();

    /// <summary>Four words a register: the low two are xmm, all four ymm.</summary>
    public ulong[] Vectors { get; } = new ulong[16 * 4];

    public void TouchX87() => _inUse |= Fp;

    public void TouchSse() => _inUse |= Sse;

    public void TouchAvx() => _inUse |= Sse | Avx;

    /// <summary>KVM_GET_XSAVE and KVM_GET_XSAVE2: the standard format (Intel SDM volume 1, 13.4).</summary>
    public void Get(Span<byte> area)
    {
        area.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(area, 0x37f);
        BinaryPrimitives.WriteUInt32LittleEndian(area[ControlAndStatus..], MxcsrAfterReset);
        if ((_inUse & Fp) != 0)
            X87.Save(area);
        if ((_inUse & (Sse | Avx)) != 0)
            BinaryPrimitives.WriteUInt32LittleEndian(area[ControlAndStatus..], _mxcsr);
        BinaryPrimitives.WriteUInt32LittleEndian(area[ControlMask..], MxcsrKnown);
        for (var register = 0; register < 16; register++)
        {
            var words = MemoryMarshal.AsBytes(Vectors.AsSpan(4 * register, 4));
            if ((_inUse & Sse) != 0)
                words[..VectorBytes].CopyTo(area[(VectorsInArea + (VectorBytes * register))..]);
            if ((_inUse & Avx) != 0)
                words[VectorBytes..].CopyTo(area[(HighHalves + (VectorBytes * register))..]);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(area[SupportedInArea..], supported);
        BinaryPrimitives.WriteUInt64LittleEndian(area[Header..], _inUse);
        if (_inUse > 7)
            _others.AsSpan(0, Math.Min(_others.Length, area.Length - Others)).CopyTo(area[Others..]);
    }

    /// <summary>KVM_SET_XSAVE.</summary>
    /// <returns>The error number.</returns>
    public int Set(ReadOnlySpan<byte> area)
    {
        var present = BinaryPrimitives.ReadUInt64LittleEndian(area[Header..]);
        if ((present & ~supported) != 0 || area.Slice(Header + 8, HeaderBytes - 8).ContainsAnyExcept((byte)0))
            return Errno.EINVAL;
        var mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area[ControlAndStatus..]);
        var hasVectors = (present & (Sse | Avx)) != 0;
        if (hasVectors && (mxcsr & ~MxcsrKnown) != 0)
            return Errno.EINVAL;
        if ((present & Fp) != 0)
            X87.Load(area);
        else
            X87.Reset();
        _mxcsr = hasVectors ? mxcsr : MxcsrAfterReset;
        Array.Clear(Vectors);
        for (var register = 0; register < 16; register++)
        {
            var words = MemoryMarshal.AsBytes(Vectors.AsSpan(4 * register, 4));
            if ((present & Sse) != 0)
                area.Slice(VectorsInArea + (VectorBytes * register), VectorBytes).CopyTo(words);
            if ((present & Avx) != 0)
                area.Slice(HighHalves + (VectorBytes * register), VectorBytes).CopyTo(words[VectorBytes..]);
        }

        Array.Clear(_others);
        if (present > 7)
            area.Slice(Others, Math.Min(_others.Length, area.Length - Others)).CopyTo(_others);
        _inUse = present;
        return 0;
    }

    /// <summary>KVM_GET_FPU: struct kvm_fpu. As in the kernel, mxcsr does not travel in it.</summary>
    public void GetFpu(Span<byte> fpu)
    {
        Span<byte> area = stackalloc byte[Others];
        Get(area);
        fpu.Clear();
        area.Slice(32, 128).CopyTo(fpu);
        area[..5].CopyTo(fpu[128..]);
        area.Slice(6, 18).CopyTo(fpu[134..]);
        area.Slice(VectorsInArea, 256).CopyTo(fpu[152..]);
    }

    /// <summary>KVM_SET_FPU.</summary>
    public void SetFpu(ReadOnlySpan<byte> fpu)
    {
        Span<byte> area = stackalloc byte[VectorsInArea];
        area.Clear();
        fpu[..128].CopyTo(area[32..]);
        fpu.Slice(128, 5).CopyTo(area);
        fpu.Slice(134, 18).CopyTo(area[6..]);
        X87.Load(area);
        for (var register = 0; register < 16; register++)
            fpu.Slice(152 + (VectorBytes * register), VectorBytes).CopyTo(MemoryMarshal.AsBytes(Vectors.AsSpan(4 * register, 4)));
        _inUse |= Fp | Sse;
    }
}
