using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Remote;

/// <summary>Guest memory in the agent's process, fetched and sent in pieces.</summary>
internal sealed class RemoteGuestMemory : IGuestMemory
{
    private const int PieceBytes = 1 << 20;
    private const int MaxFillBytes = 1 << 30;

    private readonly AgentLane _lane;
    private volatile bool _isDisposed;
    private int _owners = 2;

    private RemoteGuestMemory(AgentLane lane, ImmutableArray<(MemoryRegion Region, ulong Address)> slots)
    {
        _lane = lane;
        Slots = slots;
        Regions = [.. slots.Select(slot => slot.Region)];
    }

    public ImmutableArray<MemoryRegion> Regions { get; }

    public WrittenPages? Written { get; set; }

    /// <summary>The slots and where the agent has them.</summary>
    internal ImmutableArray<(MemoryRegion Region, ulong Address)> Slots { get; }

    public void Read(ulong guestAddress, Span<byte> destination)
    {
        var address = Find(guestAddress, (ulong)destination.Length);
        while (!destination.IsEmpty)
        {
            var piece = destination[..Math.Min(PieceBytes, destination.Length)];
            var request = new AgentRequest();
            var fetched = request.Get(address, piece.Length);
            var reply = Check(_lane.Exchange(request));
            reply.Bytes(fetched).CopyTo(piece);
            destination = destination[piece.Length..];
            address += (ulong)piece.Length;
        }
    }

    public void Write(ulong guestAddress, ReadOnlySpan<byte> source)
    {
        var address = Find(guestAddress, (ulong)source.Length);
        var length = (ulong)source.Length;
        while (!source.IsEmpty)
        {
            var piece = source[..Math.Min(PieceBytes, source.Length)];
            var request = new AgentRequest();
            request.Put(address, piece);
            Check(_lane.Exchange(request));
            source = source[piece.Length..];
            address += (ulong)piece.Length;
        }

        Written?.Mark(guestAddress, length);
    }

    public void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, MaxFillBytes);
        Find(guestAddress, (ulong)length);
        var buffer = new byte[length];
        write(buffer, state);
        Write(guestAddress, buffer);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        Release();
    }

    internal static RemoteGuestMemory Create(AgentLane lane, IReadOnlyList<MemoryRegion> regions)
    {
        ArgumentNullException.ThrowIfNull(regions);
        MemorySlots.Check(regions, MemoryRegion.PageBytes);
        var ordered = regions.OrderBy(region => region.GuestAddress).ToArray();
        var request = new AgentRequest();
        foreach (var region in ordered)
            request.Allocate(region.SizeBytes);
        var reply = Check(lane.Exchange(request));
        return new RemoteGuestMemory(lane, [.. ordered.Select((region, place) => (region, (ulong)reply[place]))]);
    }

    /// <summary>The VM is gone: nothing writes here any more.</summary>
    internal void Forget() => Release();

    private static AgentReply Check(AgentReply reply) =>
        reply.Errno == 0 ? reply : throw new IOException($"The agent could not reach guest memory: {Errno.NameOf(reply.Errno)}.");

    // The pages go when neither this object nor the VM needs them.
    private void Release()
    {
        if (Interlocked.Decrement(ref _owners) != 0)
            return;
        var request = new AgentRequest();
        foreach (var (_, address) in Slots)
            request.Free(address);
        _lane.Exchange(request);
    }

    private ulong Find(ulong guestAddress, ulong length)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var slot = MemorySlots.Find(Regions.AsSpan(), guestAddress, length);
        return Slots[slot].Address + (guestAddress - Regions[slot].GuestAddress);
    }
}
