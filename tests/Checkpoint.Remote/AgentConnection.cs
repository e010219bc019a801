using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;

namespace Checkpoint.Remote;

/// <summary>The connection to one agent. Any number of threads may make requests; each waits for its own reply.</summary>
public sealed class AgentConnection : IDisposable
{
    private const int ReaderLane = 0;
    private const int SystemLane = 1;
    private const int FirstVcpuLane = 2;
    private const int Lanes = 65;

    private readonly Socket _socket;
    private readonly Lock _writing = new();
    private readonly ConcurrentDictionary<uint, Pending> _pending = [];
    private readonly ConcurrentQueue<AgentLane> _free = [];
    private uint _tag;
    private volatile string? _end;

    /// <summary>Takes a connected socket.</summary>
    public AgentConnection(Socket socket)
    {
        _socket = socket;
        System = new AgentLane(this, SystemLane);
        for (var lane = FirstVcpuLane; lane < Lanes; lane++)
            _free.Enqueue(new AgentLane(this, lane));
        new Thread(ReadReplies) { IsBackground = true, Name = "agent's replies" }.Start();
    }

    /// <summary>The lane of everything that is not a vCPU.</summary>
    internal AgentLane System { get; }

    /// <summary>Connects to a Unix socket that an emulator listens on for its guest's virtio-serial port.</summary>
    public static AgentConnection Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return new AgentConnection(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _end ??= "The connection to the agent was closed.";
        _socket.Dispose();
    }

    /// <summary>Waits until the agent answers.</summary>
    internal void WaitForAgent() => System.Exchange(new AgentRequest());

    /// <summary>A lane of its own for a vCPU; it is given back by <see cref="Return"/>.</summary>
    internal AgentLane Rent() => _free.TryDequeue(out var lane)
        ? lane
        : throw new InvalidOperationException($"The agent runs {Lanes - FirstVcpuLane} vCPUs at a time.");

    internal void Return(AgentLane lane) => _free.Enqueue(lane);

    /// <summary>Ends the KVM_RUN of a lane, or its next one; when this returns the kick is there.</summary>
    internal void Kick(AgentLane lane)
    {
        var request = new AgentRequest();
        request.Kick(lane.Number);
        Exchange(request, ReaderLane);
    }

    /// <summary>Makes a request and waits for its reply.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal AgentReply Exchange(AgentRequest request, int lane)
    {
        var pending = new Pending();
        var tag = Interlocked.Increment(ref _tag);
        _pending[tag] = pending;
        try
        {
            var frame = request.Frame(tag, lane);
            lock (_writing)
            {
                for (var sent = 0; sent < frame.Length;)
                    sent += _socket.Send(frame.Span[sent..]);
            }

            // The reader sets its end first and then fails whoever it finds waiting.
            if (_end is { } end)
                throw new IOException(end);
            pending.Done.Wait();
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException)
        {
            throw new IOException(_end ?? broken.Message, broken);
        }
        finally
        {
            _pending.TryRemove(tag, out _);
        }

        if (pending.Results is not { } results)
            throw new IOException(_end);
        return pending.Status == 0
            ? new AgentReply(results, request.Fetched)
            : throw new InvalidDataException($"The agent refused a request: {Kvm.Device.Errno.NameOf(-pending.Status)}.");
    }

    private void ReadReplies()
    {
        var header = new byte[12];
        try
        {
            while (Receive(header))
            {
                var results = new byte[BinaryPrimitives.ReadInt32LittleEndian(header) - 8];
                if (!Receive(results))
                    break;
                if (!_pending.TryGetValue(BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)), out var pending))
                    continue;
                pending.Status = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8));
                pending.Results = results;
                pending.Done.Set();
            }
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException)
        {
            _end ??= broken.Message;
        }

        _end ??= "The agent is gone.";
        foreach (var pending in _pending.Values)
            pending.Done.Set();
    }

    private bool Receive(Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var received = _socket.Receive(bytes);
            if (received == 0)
                return false;
            bytes = bytes[received..];
        }

        return true;
    }

    private sealed class Pending
    {
        internal ManualResetEventSlim Done { get; } = new(false);

        internal int Status { get; set; }

        internal byte[]? Results { get; set; }
    }
}
