using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Remote;
using static Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Kvm.Tests.Device;

/// <summary>What the agent does with requests that are not as they should be: it says so and goes on, or ends without a crash.</summary>
[NeedsLocalAgent]
public sealed class AgentProtocolTests : IDisposable
{
    private const int EBADMSG = 74;
    private const byte Alloc = 1;
    private const byte Free = 2;
    private const byte Put = 3;
    private const byte Get = 4;
    private const byte Open = 5;
    private const byte Close = 6;
    private const byte Kick = 9;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("agent-protocol");
    private readonly Process _agent;
    private readonly Socket _socket;
    private int _endsWith;

    public AgentProtocolTests()
    {
        var path = Path.Combine(_folder.FullName, "port");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        _agent = Process.Start(AgentHost.CompileLocal(_folder.FullName), [path]);
        _socket = listener.Accept();
    }

    public void Dispose()
    {
        _socket.Dispose();
        Assert.True(_agent.WaitForExit(TimeSpan.FromSeconds(20)), "The agent does not end with its port.");
        Assert.Equal(_endsWith, _agent.ExitCode);
        _agent.Dispose();
        _folder.Delete(recursive: true);
    }

    [ContractFact]
    public void Operations_are_done_in_order_up_to_the_first_that_fails()
    {
        var address = (ulong)Results(1, [Alloc, .. Word(4096)])[0];
        byte[] put = [Put, .. Word(address + 10), 3, 0, 0, 0, 7, 8, 9];
        byte[] get = [Get, .. Word(address + 9), 5, 0, 0, 0];
        var reply = Exchange(1, [.. put, .. get, .. Closing(9999), .. get]);
        Assert.Equal((0, 3L), (reply.Status, BinaryPrimitives.ReadInt64LittleEndian(reply.Bytes)));
        Assert.Equal([0, 7, 8, 9, 0], reply.Bytes[16..21]);
        Assert.Equal(-EBADF, BinaryPrimitives.ReadInt64LittleEndian(reply.Bytes.AsSpan(21)));
        Assert.Equal(29, reply.Bytes.Length);
        Assert.Equal([0], Results(1, [Free, .. Word(address)]));
        Assert.Equal([-EFAULT], Results(1, get));
        Assert.Equal([-EINVAL], Results(1, [Free, .. Word(address)]));
    }

    [ContractFact]
    public void Memory_that_was_not_asked_for_is_out_of_reach()
    {
        var address = (ulong)Results(1, [Alloc, .. Word(4096)])[0];
        ulong[] elsewhere = [0, address - 1, address + 4096 - 3, address + 4097, ulong.MaxValue, ulong.MaxValue - 2];
        foreach (var each in elsewhere)
        {
            Assert.Equal([-EFAULT], Results(1, [Get, .. Word(each), 4, 0, 0, 0]));
            Assert.Equal([-EFAULT], Results(1, [Put, .. Word(each), 4, 0, 0, 0, 1, 2, 3, 4]));
        }
    }

    [ContractFact]
    public void A_request_that_is_cut_short_or_unknown_is_refused_as_a_whole()
    {
        byte[][] malformed =
        [
            [0], [13], [255], [Alloc, 1, 2, 3], [Put, .. Word(0), 5, 0, 0, 0, 1, 2], [Put, .. Word(0), 0xff, 0xff, 0xff, 0xff], [Open, 9, 0, (byte)'x'],
            [Get, .. Word(0), 0xff, 0xff, 0xff, 0xff], [Alloc, .. Word(4096), 77], [Kick, 1, 0, 0, 0],
        ];
        foreach (var each in malformed)
            Assert.Equal((-EBADMSG, 0), (Exchange(1, each).Status, Exchange(1, each).Bytes.Length));
        // Lane 0 takes kicks alone, and there are no lanes beyond the last.
        Assert.Equal(-EBADMSG, Exchange(0, [Alloc, .. Word(4096)]).Status);
        Assert.Equal(-EBADMSG, Exchange(65, []).Status);
        Assert.Equal(-EBADMSG, Exchange(uint.MaxValue, []).Status);
        Assert.Equal([-EINVAL], Results(0, [Kick, 0, 0, 0, 0]));
        Assert.Equal([-EINVAL], Results(0, [Kick, 65, 0, 0, 0]));
        Assert.Equal([-ESRCH], Results(0, [Kick, 60, 0, 0, 0]));
        Assert.Equal(0, Exchange(3, []).Status);
    }

    [ContractFact]
    public void Paths_and_sizes_are_checked()
    {
        Assert.Equal([-EINVAL], Results(1, [Open, 4, 0, (byte)'/', 0, (byte)'e', (byte)'t']));
        Assert.Equal([-ENOENT], Results(1, [Open, 2, 0, (byte)'/', (byte)'?']));
        Assert.Equal([-EINVAL], Results(1, [Open, 0, 1, .. new byte[256]]));
        Assert.Equal([-EINVAL], Results(1, [Alloc, .. Word(0)]));
        Assert.Equal([-ENOMEM], Results(1, [Alloc, .. Word(1ul << 62)]));
        Assert.Equal([-EBADF], Results(1, Closing(1)));
    }

    [ContractFact]
    public void A_length_that_no_frame_has_ends_the_agent()
    {
        _endsWith = 1;
        byte[] length = [0xff, 0xff, 0xff, 0xff];
        _socket.Send(length);
        Assert.True(_agent.WaitForExit(TimeSpan.FromSeconds(20)));
    }

    private static byte[] Word(ulong value) => BitConverter.GetBytes(value);

    private static byte[] Closing(int fd) => [Close, .. BitConverter.GetBytes(fd)];

    private long[] Results(uint lane, byte[] operations)
    {
        var reply = Exchange(lane, operations);
        Assert.Equal(0, reply.Status);
        return [.. Enumerable.Range(0, reply.Bytes.Length / 8).Select(i => BinaryPrimitives.ReadInt64LittleEndian(reply.Bytes.AsSpan(8 * i)))];
    }

    private (int Status, byte[] Bytes) Exchange(uint lane, byte[] operations)
    {
        _socket.Send((byte[])[.. BitConverter.GetBytes(8 + operations.Length), 0x44, 0x33, 0x22, 0x11, .. BitConverter.GetBytes(lane), .. operations]);
        var header = Receive(12);
        Assert.Equal(0x1122_3344, BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4)));
        return (BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)), Receive(BinaryPrimitives.ReadInt32LittleEndian(header) - 8));
    }

    private byte[] Receive(int length)
    {
        var bytes = new byte[length];
        for (var got = 0; got < length;)
        {
            var received = _socket.Receive(bytes.AsSpan(got));
            Assert.NotEqual(0, received);
            got += received;
        }

        return bytes;
    }
}
