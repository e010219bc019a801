using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Checkpoint.Remote;

/// <summary>
/// One request to the agent: operations that it does in order, up to the first that fails. kernel/agent/agent.c says what each
/// is. Every method returns the operation's place, by which its result is found in the reply.
/// </summary>
internal sealed class AgentRequest
{
    /// <summary>Bytes of a frame's length, tag and lane.</summary>
    internal const int HeaderBytes = 12;

    private const int MaxFrameBytes = 8 << 20;

    private readonly ArrayBufferWriter<byte> _bytes = new(256);
    private readonly List<int> _fetched = [];

    internal AgentRequest() => _bytes.Advance(Clear(_bytes.GetSpan(HeaderBytes)[..HeaderBytes]));

    private enum Operation : byte
    {
        Alloc = 1,
        Free,
        Put,
        Get,
        Open,
        Close,
        Ioctl,
        Map,
        Kick,
        Bind,
        Unbind,
        Counter,
    }

    /// <summary>For each operation how many bytes follow its result.</summary>
    internal IReadOnlyList<int> Fetched => _fetched;

    internal int Allocate(ulong bytes) => Add(Operation.Alloc, bytes);

    internal int Free(ulong address) => Add(Operation.Free, address);

    internal int Put(ulong address, ReadOnlySpan<byte> bytes)
    {
        var place = Add(Operation.Put, address);
        Append((uint)bytes.Length);
        _bytes.Write(bytes);
        return place;
    }

    internal int Get(ulong address, int bytes)
    {
        var place = Add(Operation.Get, address);
        Append((uint)bytes);
        _fetched[place] = bytes;
        return place;
    }

    internal int Open(string path)
    {
        var place = Begin(Operation.Open);
        var bytes = Encoding.UTF8.GetBytes(path);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.GetSpan(sizeof(ushort)), (ushort)bytes.Length);
        _bytes.Advance(sizeof(ushort));
        _bytes.Write(bytes);
        return place;
    }

    internal int Close(int fd) => AddOn(Operation.Close, fd);

    internal int Ioctl(int fd, uint request, ulong argument)
    {
        var place = AddOn(Operation.Ioctl, fd);
        Append(request);
        Append(argument);
        return place;
    }

    internal int Map(int fd, ulong bytes)
    {
        var place = AddOn(Operation.Map, fd);
        Append(bytes);
        return place;
    }

    internal int Kick(int lane) => AddOn(Operation.Kick, lane);

    internal int Bind(int fd) => AddOn(Operation.Bind, fd);

    internal int Unbind(int fd) => AddOn(Operation.Unbind, fd);

    internal int Counter() => Begin(Operation.Counter);

    /// <summary>The frame, its header filled in.</summary>
    internal ReadOnlyMemory<byte> Frame(uint tag, int lane)
    {
        if (_bytes.WrittenCount > MaxFrameBytes)
            throw new ArgumentException($"A request of {_bytes.WrittenCount} bytes: the agent takes {MaxFrameBytes}.");
        var frame = System.Runtime.InteropServices.MemoryMarshal.AsMemory(_bytes.WrittenMemory);
        BinaryPrimitives.WriteInt32LittleEndian(frame.Span, frame.Length - sizeof(int));
        BinaryPrimitives.WriteUInt32LittleEndian(frame.Span[4..], tag);
        BinaryPrimitives.WriteInt32LittleEndian(frame.Span[8..], lane);
        return frame;
    }

    private static int Clear(Span<byte> bytes)
    {
        bytes.Clear();
        return bytes.Length;
    }

    private int Begin(Operation operation)
    {
        _bytes.GetSpan(1)[0] = (byte)operation;
        _bytes.Advance(1);
        _fetched.Add(0);
        return _fetched.Count - 1;
    }

    private int Add(Operation operation, ulong number)
    {
        var place = Begin(operation);
        Append(number);
        return place;
    }

    private int AddOn(Operation operation, int fd)
    {
        var place = Begin(operation);
        Append((uint)fd);
        return place;
    }

    private void Append(uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.GetSpan(sizeof(uint)), number);
        _bytes.Advance(sizeof(uint));
    }

    private void Append(ulong number)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.GetSpan(sizeof(ulong)), number);
        _bytes.Advance(sizeof(ulong));
    }
}
