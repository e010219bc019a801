using Checkpoint.Kvm.Device;

namespace Checkpoint.Remote;

/// <summary>
/// One of the agent's threads, and memory for the arguments of its calls. Calls on it take turns.
/// </summary>
internal sealed class AgentLane(AgentConnection connection, int number)
{
    private const ulong LeastScratchBytes = 64 << 10;

    private readonly Lock _gate = new();
    private ulong _scratch;
    private ulong _scratchBytes;

    internal int Number => number;

    internal AgentReply Exchange(AgentRequest request)
    {
        lock (_gate)
            return connection.Exchange(request, number);
    }

    /// <summary>An ioctl with a number.</summary>
    /// <returns>What it returned, or the error number, negative.</returns>
    internal long TryCall(int fd, in KvmRequest request, ulong argument)
    {
        var calls = new AgentRequest();
        var ioctl = calls.Ioctl(fd, request.Code, argument);
        return Exchange(calls)[ioctl];
    }

    /// <summary>As <see cref="TryCall"/>, with an exception where the kernel said no.</summary>
    internal long Call(int fd, in KvmRequest request, ulong argument, int? vcpu = null) =>
        Checked(TryCall(fd, request, argument), request, vcpu);

    /// <summary>
    /// An ioctl with a struct, in one round trip: it is put into the agent's memory, given to the kernel and fetched again.
    /// </summary>
    /// <param name="fd">The fd.</param>
    /// <param name="request">The request.</param>
    /// <param name="argument">The struct, and behind it whatever pointers in it point to.</param>
    /// <param name="fetch">Where what the kernel left goes; empty for requests that leave nothing.</param>
    /// <param name="fetchFrom">Where in the argument that begins.</param>
    /// <param name="relocate">Fills in pointers, where there are some, given the argument's address in the agent's memory.</param>
    /// <returns>What it returned, or the error number, negative.</returns>
    internal long TryCall(
        int fd, in KvmRequest request, Span<byte> argument, Span<byte> fetch, int fetchFrom = 0, Relocation? relocate = null)
    {
        lock (_gate)
        {
            var scratch = Scratch(Math.Max((ulong)argument.Length, (ulong)(fetchFrom + fetch.Length)));
            relocate?.Invoke(argument, scratch);
            var calls = new AgentRequest();
            calls.Put(scratch, argument);
            var ioctl = calls.Ioctl(fd, request.Code, scratch);
            var fetched = fetch.IsEmpty ? -1 : calls.Get(scratch + (ulong)fetchFrom, fetch.Length);
            var reply = connection.Exchange(calls, number);
            if (reply[ioctl] >= 0 && fetched >= 0)
                reply.Bytes(fetched).CopyTo(fetch);
            return reply[ioctl];
        }
    }

    /// <summary>As the one above, with an exception where the kernel said no.</summary>
    internal long Call(
        int fd, in KvmRequest request, Span<byte> argument, Span<byte> fetch, int? vcpu = null, int fetchFrom = 0, Relocation? relocate = null) =>
        Checked(TryCall(fd, request, argument, fetch, fetchFrom, relocate), request, vcpu);

    /// <summary>What the last call with a struct left of it, though it failed.</summary>
    internal ReadOnlySpan<byte> Left(int bytes)
    {
        var request = new AgentRequest();
        var fetched = request.Get(_scratch, bytes);
        return Exchange(request).Bytes(fetched);
    }

    private static long Checked(long result, in KvmRequest request, int? vcpu) =>
        result >= 0 ? result : throw new KvmException(request.Name, (int)-result, vcpu);

    private ulong Scratch(ulong bytes)
    {
        if (bytes <= _scratchBytes)
            return _scratch;
        var size = Math.Max(LeastScratchBytes, ulong.RotateLeft(1, 64 - System.Numerics.BitOperations.LeadingZeroCount(bytes - 1)));
        var request = new AgentRequest();
        if (_scratch != 0)
            request.Free(_scratch);
        var allocated = request.Allocate(size);
        var reply = connection.Exchange(request, number);
        (_scratch, _scratchBytes) = ((ulong)Checked(reply[allocated]), size);
        return _scratch;
    }

    private static long Checked(long address) => address > 0 ? address : throw new IOException($"The agent has no memory: {Errno.NameOf((int)-address)}.");

    /// <summary>Fills in the pointers of an argument.</summary>
    /// <param name="argument">The argument.</param>
    /// <param name="address">Where it will be in the agent's memory.</param>
    internal delegate void Relocation(Span<byte> argument, ulong address);
}
