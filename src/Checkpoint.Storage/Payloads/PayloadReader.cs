using System.Buffers.Binary;
using System.Text;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// Reads MessagePack from bytes that nobody vouches for. Whatever they are, a read gives a value or a
/// <see cref="PayloadException"/>; nothing is allocated that is larger than the bytes themselves warrant, and no nesting
/// takes stack.
/// </summary>
internal struct PayloadReader(ReadOnlyMemory<byte> payload)
{
    private static readonly UTF8Encoding _strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ReadOnlyMemory<byte> _memory = payload;
    private int _at;

    private readonly int Remaining => _memory.Length - _at;

    private readonly ReadOnlySpan<byte> Span => _memory.Span;

    /// <summary>An array's count. Each element takes a byte at least, so a count beyond the remaining bytes is damage.</summary>
    public int Array()
    {
        var start = _at;
        var type = Byte();
        var count = type switch
        {
            >= 0x90 and <= 0x9f => (uint)(type & 0x0f),
            0xdc => UInt16(),
            0xdd => UInt32(),
            _ => throw Unexpected(start, "an array"),
        };
        return count <= (uint)Remaining
            ? (int)count
            : throw new PayloadException($"byte {start}: an array of {count} elements does not fit into the {Remaining} bytes that follow");
    }

    /// <summary>Takes a nil if there is one.</summary>
    public bool TryNil()
    {
        if (_at >= Span.Length || Span[_at] != 0xc0)
            return false;
        _at++;
        return true;
    }

    public bool Boolean()
    {
        var start = _at;
        return Byte() switch
        {
            0xc2 => false,
            0xc3 => true,
            _ => throw Unexpected(start, "a boolean"),
        };
    }

    public long Integer()
    {
        var start = _at;
        if (TryNegative(out var negative))
            return negative;
        var value = Unsigned();
        return value <= long.MaxValue ? (long)value : throw new PayloadException($"byte {start}: {value} is out of range");
    }

    public ulong Unsigned()
    {
        var start = _at;
        if (TryNegative(out var signed))
            return signed >= 0 ? (ulong)signed : throw new PayloadException($"byte {start}: {signed} is out of range");
        var type = Byte();
        return type switch
        {
            < 0x80 => type,
            0xcc => Byte(),
            0xcd => UInt16(),
            0xce => UInt32(),
            0xcf => UInt64(),
            _ => throw Unexpected(start, "an integer"),
        };
    }

    public int Int32()
    {
        var start = _at;
        var value = Integer();
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw new PayloadException($"byte {start}: {value} is out of range");
    }

    public uint Unsigned32()
    {
        var start = _at;
        var value = Unsigned();
        return value <= uint.MaxValue ? (uint)value : throw new PayloadException($"byte {start}: {value} is out of range");
    }

    public string Text()
    {
        var start = _at;
        var type = Byte();
        var length = type switch
        {
            >= 0xa0 and <= 0xbf => (uint)(type & 0x1f),
            0xd9 => Byte(),
            0xda => UInt16(),
            0xdb => UInt32(),
            _ => throw Unexpected(start, "text"),
        };
        try
        {
            return _strictUtf8.GetString(Take(length));
        }
        catch (DecoderFallbackException exception)
        {
            throw new PayloadException($"byte {start}: text that is not UTF-8", exception);
        }
    }

    /// <summary>Binary, as a slice of the payload: nothing is copied.</summary>
    public ReadOnlyMemory<byte> Binary()
    {
        var start = _at;
        var length = Byte() switch
        {
            0xc4 => Byte(),
            0xc5 => UInt16(),
            0xc6 => UInt32(),
            _ => throw Unexpected(start, "binary"),
        };
        Take(length);
        return _memory.Slice(_at - (int)length, (int)length);
    }

    /// <summary>Binary of one certain length.</summary>
    public ReadOnlySpan<byte> Binary(int length)
    {
        var start = _at;
        var value = Binary().Span;
        return value.Length == length ? value : throw new PayloadException($"byte {start}: {value.Length} bytes where {length} are expected");
    }

    public DateTimeOffset Timestamp()
    {
        var start = _at;
        long seconds;
        uint nanoseconds;
        switch (Byte(), Byte())
        {
            case (0xd6, 0xff):
                (seconds, nanoseconds) = (UInt32(), 0);
                break;
            case (0xd7, 0xff):
                var packed = UInt64();
                (seconds, nanoseconds) = ((long)(packed & 0x3_ffff_ffff), (uint)(packed >> 34));
                break;
            case (0xc7, 12) when Byte() == 0xff:
                nanoseconds = UInt32();
                seconds = (long)UInt64();
                break;
            default:
                throw Unexpected(start, "a timestamp");
        }

        if (nanoseconds > 999_999_999 || seconds is < -62_135_596_800 or > 253_402_300_799)
            throw new PayloadException($"byte {start}: a timestamp out of range");
        return DateTimeOffset.UnixEpoch.AddTicks((seconds * TimeSpan.TicksPerSecond) + (nanoseconds / 100));
    }

    /// <summary>Passes over one value with all that is in it, without recursion.</summary>
    public void Skip()
    {
        for (var pending = 1L; pending > 0; pending--)
        {
            var start = _at;
            var type = Byte();
            pending += type switch
            {
                <= 0x7f or 0xc0 or 0xc2 or 0xc3 or >= 0xe0 => 0,
                <= 0x8f => 2 * (type & 0x0f),
                <= 0x9f => type & 0x0f,
                <= 0xbf => Pass((uint)(type & 0x1f)),
                0xc4 or 0xd9 => Pass(Byte()),
                0xc5 or 0xda => Pass(UInt16()),
                0xc6 or 0xdb => Pass(UInt32()),
                0xc7 => Pass(Byte() + 1u),
                0xc8 => Pass(UInt16() + 1u),
                0xc9 => Pass(UInt32() + 1L),
                0xca or 0xce or 0xd2 => Pass(4),
                0xcb or 0xcf or 0xd3 => Pass(8),
                0xcc or 0xd0 => Pass(1),
                0xcd or 0xd1 => Pass(2),
                >= 0xd4 and <= 0xd8 => Pass((1u << (type - 0xd4)) + 1),
                0xdc => UInt16(),
                0xdd => UInt32(),
                0xde => 2L * UInt16(),
                0xdf => 2L * UInt32(),
                _ => throw Unexpected(start, "a value"),
            };
        }
    }

    /// <summary>Ends the reading: bytes after the value are damage, as nobody writes any.</summary>
    public readonly void End()
    {
        if (Remaining != 0)
            throw new PayloadException($"{Remaining} bytes too many after byte {_at}");
    }

    private bool TryNegative(out long value)
    {
        var type = _at < Span.Length ? Span[_at] : (byte)0;
        value = 0;
        if (type < 0xd0 || type is > 0xd3 and < 0xe0)
            return false;
        _at++;
        value = type switch
        {
            0xd0 => (sbyte)Byte(),
            0xd1 => (short)UInt16(),
            0xd2 => (int)UInt32(),
            0xd3 => (long)UInt64(),
            _ => (sbyte)type,
        };
        return true;
    }

    private long Pass(long length)
    {
        Take(length);
        return 0;
    }

    private byte Byte() => Take(1)[0];

    private uint UInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    private uint UInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    private ulong UInt64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    private ReadOnlySpan<byte> Take(long length)
    {
        if (length > Remaining)
            throw new PayloadException($"byte {_at}: {length} bytes are expected and {Remaining} follow");
        var taken = Span.Slice(_at, (int)length);
        _at += (int)length;
        return taken;
    }

    private readonly PayloadException Unexpected(int at, string expected) =>
        new($"byte {at}: 0x{Span[at]:x2} where {expected} is expected");
}
