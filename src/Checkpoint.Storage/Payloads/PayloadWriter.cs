using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// Writes MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), each value in its smallest form, so that equal
/// values are equal bytes.
/// </summary>
internal readonly ref struct PayloadWriter(IBufferWriter<byte> output)
{
    /// <summary>The longest that a head (a type byte, a length and the type of an extension) or a number can be.</summary>
    private const int LongestHeadBytes = 15;

    public void Nil() => Byte(0xc0);

    public void Boolean(bool value) => Byte(value ? (byte)0xc3 : (byte)0xc2);

    public void Array(int count)
    {
        Debug.Assert(count >= 0);
        if (count < 16)
            Byte((byte)(0x90 | count));
        else if (count <= ushort.MaxValue)
            Head(0xdc, (ushort)count);
        else
            Head(0xdd, (uint)count);
    }

    public void Integer(long value)
    {
        if (value >= 0)
            Unsigned((ulong)value);
        else if (value >= -32)
            Byte((byte)value);
        else
            Negative(value);
    }

    public void Unsigned(ulong value)
    {
        if (value < 128)
            Byte((byte)value);
        else if (value <= byte.MaxValue)
            Head(0xcc, (byte)value);
        else if (value <= ushort.MaxValue)
            Head(0xcd, (ushort)value);
        else if (value <= uint.MaxValue)
            Head(0xce, (uint)value);
        else
            Head(0xcf, value);
    }

    public void Integer(long? value)
    {
        if (value is { } number)
            Integer(number);
        else
            Nil();
    }

    public void Unsigned(ulong? value)
    {
        if (value is { } number)
            Unsigned(number);
        else
            Nil();
    }

    /// <summary>UTF-8. A surrogate without its other half becomes U+FFFD: a label must not be able to fail an append.</summary>
    public void Text(string? value)
    {
        if (value is null)
        {
            Nil();
            return;
        }

        var length = Encoding.UTF8.GetByteCount(value);
        if (length < 32)
            Byte((byte)(0xa0 | length));
        else if (length <= byte.MaxValue)
            Head(0xd9, (byte)length);
        else if (length <= ushort.MaxValue)
            Head(0xda, (ushort)length);
        else
            Head(0xdb, (uint)length);
        Encoding.UTF8.GetBytes(value, output.GetSpan(length));
        output.Advance(length);
    }

    public void Binary(ReadOnlySpan<byte> value)
    {
        if (value.Length <= byte.MaxValue)
            Head(0xc4, (byte)value.Length);
        else if (value.Length <= ushort.MaxValue)
            Head(0xc5, (ushort)value.Length);
        else
            Head(0xc6, (uint)value.Length);
        output.Write(value);
    }

    /// <summary>The timestamp extension (type -1) in the smallest of its three forms; 100 ns is the finest step.</summary>
    public void Timestamp(DateTimeOffset value)
    {
        var sinceEpoch = value.UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks;
        var (seconds, ticks) = Math.DivRem(sinceEpoch, TimeSpan.TicksPerSecond);
        if (ticks < 0)
            (seconds, ticks) = (seconds - 1, ticks + TimeSpan.TicksPerSecond);
        var nanoseconds = (uint)(ticks * 100);

        var span = output.GetSpan(LongestHeadBytes);
        if (seconds is >= 0 and <= uint.MaxValue && nanoseconds == 0)
        {
            (span[0], span[1]) = (0xd6, 0xff);
            BinaryPrimitives.WriteUInt32BigEndian(span[2..], (uint)seconds);
            output.Advance(6);
        }
        else if (seconds >= 0 && seconds >> 34 == 0)
        {
            (span[0], span[1]) = (0xd7, 0xff);
            BinaryPrimitives.WriteUInt64BigEndian(span[2..], ((ulong)nanoseconds << 34) | (ulong)seconds);
            output.Advance(10);
        }
        else
        {
            (span[0], span[1], span[2]) = (0xc7, 12, 0xff);
            BinaryPrimitives.WriteUInt32BigEndian(span[3..], nanoseconds);
            BinaryPrimitives.WriteInt64BigEndian(span[7..], seconds);
            output.Advance(15);
        }
    }

    private void Negative(long value)
    {
        if (value >= sbyte.MinValue)
            Head(0xd0, (byte)value);
        else if (value >= short.MinValue)
            Head(0xd1, (ushort)value);
        else if (value >= int.MinValue)
            Head(0xd2, (uint)value);
        else
            Head(0xd3, (ulong)value);
    }

    private void Byte(byte value)
    {
        output.GetSpan(1)[0] = value;
        output.Advance(1);
    }

    private void Head(byte type, byte value)
    {
        var span = output.GetSpan(LongestHeadBytes);
        (span[0], span[1]) = (type, value);
        output.Advance(2);
    }

    private void Head(byte type, ushort value)
    {
        var span = output.GetSpan(LongestHeadBytes);
        span[0] = type;
        BinaryPrimitives.WriteUInt16BigEndian(span[1..], value);
        output.Advance(3);
    }

    private void Head(byte type, uint value)
    {
        var span = output.GetSpan(LongestHeadBytes);
        span[0] = type;
        BinaryPrimitives.WriteUInt32BigEndian(span[1..], value);
        output.Advance(5);
    }

    private void Head(byte type, ulong value)
    {
        var span = output.GetSpan(LongestHeadBytes);
        span[0] = type;
        BinaryPrimitives.WriteUInt64BigEndian(span[1..], value);
        output.Advance(9);
    }
}
