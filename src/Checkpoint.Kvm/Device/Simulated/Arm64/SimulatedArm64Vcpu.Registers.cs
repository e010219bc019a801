using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

public sealed partial class SimulatedArm64Vcpu
{
    private const ulong UpperHalf = 0xffff_ffff_0000_0000;
    private const ulong SizeBits = 0x00f0_0000_0000_0000;
    private const ulong PstateAfterReset = 0x3c5; // EL1h, all interrupts masked
    private const int PlaceOfSp = 31;
    private const int PlaceOfPc = 32;
    private const int PlaceOfPstate = 33;
    private const int PlaceOfSpEl1 = 34;
    private const int PlaceOfV0 = 41;
    private const int PlaceOfFpsr = 73;
    private const int CacheSelectors = 14; // All that there can be are listed, whether there is such a cache or not.
    private const int PredicateBytes = 32;

    // A core register by its place in struct kvm_regs; the size in its id is checked afterwards.
    private static readonly Dictionary<ulong, int> s_core = Arm64Registers.CoreRegisters
        .Select((each, place) => (each.Id, place))
        .ToDictionary(each => each.Id & ~SizeBits, each => each.place);

    private static readonly uint[] s_cacheSizes = [0x7007_e01a, 0x200f_e01a, 0x703f_e07a];

    // Core registers that no instruction here uses: SP_EL0, ELR_EL1, the SPSRs, FPSR, FPCR; by their place.
    private readonly ulong[] _core = new ulong[PlaceOfFpsr + 2];
    private readonly uint[] _caches = new uint[CacheSelectors];
    private readonly byte[] _predicates = new byte[(Arm64Registers.SvePredicates + 1) * PredicateBytes];
    private readonly byte[] _lengths = new byte[64];

    private protected override IEnumerable<ulong> ListRegisters()
    {
        foreach (var (_, id) in Arm64Registers.CoreRegisters)
        {
            if (!HasSve || !IsVector(s_core[id & ~SizeBits]))
                yield return id;
        }

        if (HasSve)
        {
            foreach (var (_, id) in Arm64Registers.SveRegisters)
                yield return id;
        }

        foreach (var id in _firmware!.Ids)
            yield return id;
        for (var selector = 0; selector < CacheSelectors; selector++)
            yield return Arm64Registers.CacheSize(selector);
        foreach (var id in _system!.Ids)
            yield return id;
    }

    private protected override int ReadRegister(ulong id, Span<byte> value)
    {
        var errno = BeforeRegister(id);
        if (errno != 0)
            return errno;
        switch (new RegisterId(id & ~SizeBits).Kind)
        {
            case RegisterKind.Core:
                return ReadCore(id, value);
            case RegisterKind.Demux:
                return ReadCache(id, value);
            case RegisterKind.Firmware or RegisterKind.FirmwareBitmap:
                return WordTo(_firmware!.Read(id, out var word), word, value);
            case RegisterKind.SystemRegister:
                return WordTo(_system!.Read(id, out word), word, value);
            default:
                return MoveSve(id, value, default);
        }
    }

    private protected override int WriteRegister(ulong id, ReadOnlySpan<byte> value)
    {
        var errno = BeforeRegister(id);
        if (errno != 0)
            return errno;
        switch (new RegisterId(id & ~SizeBits).Kind)
        {
            case RegisterKind.Core:
                return WriteCore(id, value);
            case RegisterKind.Demux:
                return WriteCache(id, value);
            case RegisterKind.Firmware or RegisterKind.FirmwareBitmap:
                return value.Length == sizeof(ulong) ? _firmware!.Write(id, BinaryPrimitives.ReadUInt64LittleEndian(value)) : Errno.ENOENT;
            case RegisterKind.SystemRegister:
                return value.Length == sizeof(ulong) ? _system!.Write(id, BinaryPrimitives.ReadUInt64LittleEndian(value)) : Errno.ENOENT;
            default:
                return MoveSve(id, default, value);
        }
    }

    private static bool IsVector(int place) => place is >= PlaceOfV0 and < PlaceOfFpsr;

    // A size that a register does not have makes its id unknown.
    private static int WordTo(int errno, ulong word, Span<byte> value)
    {
        if (errno != 0 || value.Length != sizeof(ulong))
            return Errno.ENOENT;
        BinaryPrimitives.WriteUInt64LittleEndian(value, word);
        return 0;
    }

    // Initialised first of all; then what the upper half of an id says must be arm64's.
    private int BeforeRegister(ulong id) =>
        _features is null ? Errno.ENOEXEC
        : ((id & ~SizeBits) & UpperHalf) != (Arm64Registers.Pc & ~SizeBits & UpperHalf) ? Errno.EINVAL
        : 0;

    private void ResetCore()
    {
        Array.Clear(_cpu.R);
        Array.Clear(_cpu.Vectors);
        Array.Clear(_core);
        Array.Clear(_predicates);
        Array.Clear(_events);
        (_cpu.Pc, _cpu.Pstate) = (0, PstateAfterReset);
        s_cacheSizes.CopyTo(_caches, 0);
        if (_isFinalized)
            return;
        Array.Clear(_lengths);
        for (var length = 0; length < Options.Arm64.SveVectorLengths; length++)
            _lengths[length / 8] |= (byte)(1 << (length % 8));
    }

    private int ReadCore(ulong id, Span<byte> value)
    {
        var errno = FindCore(id, value.Length, out var place);
        if (errno != 0)
            return errno;
        if (IsVector(place))
            MemoryMarshal.AsBytes(_cpu.Vector(place - PlaceOfV0))[..value.Length].CopyTo(value);
        else if (place >= PlaceOfFpsr)
            BinaryPrimitives.WriteUInt32LittleEndian(value, (uint)_core[place]);
        else
            BinaryPrimitives.WriteUInt64LittleEndian(value, Core(place));
        return 0;
    }

    private ulong Core(int place) => place switch
    {
        < PlaceOfSp => _cpu.R[place],
        PlaceOfPc => _cpu.Pc,
        PlaceOfPstate => _cpu.Pstate,
        PlaceOfSpEl1 => _cpu.R[Arm64Op.StackPointer],
        _ => _core[place],
    };

    private int WriteCore(ulong id, ReadOnlySpan<byte> value)
    {
        var errno = FindCore(id, value.Length, out var place);
        if (errno != 0)
            return errno;
        if (IsVector(place))
        {
            var vector = _cpu.Vector(place - PlaceOfV0);
            vector.Clear();
            value.CopyTo(MemoryMarshal.AsBytes(vector));
            return 0;
        }

        if (place >= PlaceOfFpsr)
        {
            _core[place] = BinaryPrimitives.ReadUInt32LittleEndian(value);
            return 0;
        }

        var word = BinaryPrimitives.ReadUInt64LittleEndian(value);
        switch (place)
        {
            case < PlaceOfSp:
                _cpu.R[place] = word;
                return 0;
            case PlaceOfPc:
                _cpu.Pc = word;
                return 0;
            case PlaceOfPstate when (word & 0x1f) is not (0 or 4 or 5): // EL0t, EL1t, EL1h
                return Errno.EINVAL;
            case PlaceOfPstate:
                _cpu.Pstate = word;
                return 0;
            case PlaceOfSpEl1:
                _cpu.R[Arm64Op.StackPointer] = word;
                return 0;
            default:
                _core[place] = word;
                return 0;
        }
    }

    // ENOENT beyond the struct and between its members; EINVAL for a wrong size, and for V where Z is in its place.
    private int FindCore(ulong id, int size, out int place)
    {
        if (!s_core.TryGetValue(id & ~SizeBits, out place))
            return Errno.ENOENT;
        var expected = IsVector(place) ? 16 : place >= PlaceOfFpsr ? 4 : 8;
        return size != expected || (HasSve && IsVector(place)) ? Errno.EINVAL : 0;
    }

    private int ReadCache(ulong id, Span<byte> value)
    {
        var errno = FindCache(id, value.Length, out var selector);
        if (errno == 0)
            BinaryPrimitives.WriteUInt32LittleEndian(value, _caches[selector]);
        return errno;
    }

    // Since Linux 6.3 a guest's caches may be told as others than the host's.
    private int WriteCache(ulong id, ReadOnlySpan<byte> value)
    {
        var errno = FindCache(id, value.Length, out var selector);
        if (errno == 0)
            _caches[selector] = BinaryPrimitives.ReadUInt32LittleEndian(value);
        return errno;
    }

    private static int FindCache(ulong id, int size, out uint selector)
    {
        selector = (ushort)id;
        return size == sizeof(uint) && selector < CacheSelectors ? 0 : Errno.ENOENT;
    }

    // One slice each: a vector of any length that SVE has fits into 2048 bits.
    private int MoveSve(ulong id, Span<byte> read, ReadOnlySpan<byte> written)
    {
        var length = read.Length + written.Length;
        var parts = new RegisterId(id);
        if (!HasSve || length != parts.SizeBytes)
            return Errno.ENOENT;
        if (parts.Kind == RegisterKind.SveLengths)
            return read.IsEmpty ? SetLengths(written) : CopyOut(_lengths, read);
        if (parts.Kind is not (RegisterKind.SveVector or RegisterKind.SvePredicate or RegisterKind.SveFirstFault) || parts.SveSlice != 0)
            return Errno.ENOENT;
        if (!_isFinalized)
            return Errno.EPERM;
        var vectorBytes = 16 * LongestVector();
        var isVector = parts.Kind == RegisterKind.SveVector;
        var used = isVector ? vectorBytes : vectorBytes / 8;
        var place = isVector ? MemoryMarshal.AsBytes(_cpu.Vector(parts.SveNumber))
            : Predicate(parts.Kind == RegisterKind.SvePredicate ? parts.SveNumber : Arm64Registers.SvePredicates);
        if (read.IsEmpty)
        {
            // What lies beyond the vector's length reads as zero, whatever was written there.
            place.Clear();
            written[..used].CopyTo(place);
            return 0;
        }

        return CopyOut(place, read);
    }

    private Span<byte> Predicate(int number) => _predicates.AsSpan(number * PredicateBytes, PredicateBytes);

    private static int CopyOut(ReadOnlySpan<byte> from, Span<byte> to)
    {
        from.CopyTo(to);
        return 0;
    }

    private int LongestVector()
    {
        for (var length = Options.Arm64.SveVectorLengths; length > 0; length--)
        {
            if ((_lengths[(length - 1) / 8] & (1 << ((length - 1) % 8))) != 0)
                return length;
        }

        return 0;
    }

    // All lengths of the host up to a longest one: a processor can't leave one out in between.
    private int SetLengths(ReadOnlySpan<byte> wanted)
    {
        if (_isFinalized)
            return Errno.EPERM;
        var word = BinaryPrimitives.ReadUInt64LittleEndian(wanted);
        var isWhole = word != 0 && (word & (word + 1)) == 0 && word >> Options.Arm64.SveVectorLengths == 0;
        if (!isWhole || wanted[8..].ContainsAnyExcept((byte)0))
            return Errno.EINVAL;
        wanted.CopyTo(_lengths);
        return 0;
    }
}
