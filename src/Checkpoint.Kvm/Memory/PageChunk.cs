using System.Buffers;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// One piece of a <see cref="PagePool"/>: mapped pages, on a huge page where the kernel has one. It stays mapped as long as anybody can read it: whose writing was given up
/// while it hung, and goes on later, finds other bytes and no hole.
/// </summary>
internal sealed unsafe class PageChunk : MemoryManager<byte>
{
    public const int Bytes = 2 << 20;

    private readonly Mapping _mapping = Mapping.OfZeros(Bytes, 0);

    /// <summary>Whether the host has given pages for it; whoever has it says so.</summary>
    public bool IsTouched { get; set; }

    /// <summary>Has the host give pages for it, so that a copy in the pause does not pay for the first touch. It holds nothing yet.</summary>
    public void Touch()
    {
        var bytes = GetSpan();
        for (var page = 0; page < bytes.Length; page += Environment.SystemPageSize)
            bytes[page] = 0;
    }

    /// <summary>Gives its pages back to the host; what it held is zeros afterwards.</summary>
    /// <returns>Whether the host took them.</returns>
    public bool TryGiveBack()
    {
        // The mapping is this object's own, from its making until nobody can reach it any more.
        return Libc.madvise((nint)_mapping.Address, Bytes, Libc.MADV_DONTNEED) == 0;
    }

    public override Span<byte> GetSpan() => new(_mapping.Address, Bytes);

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(elementIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(elementIndex, Bytes);
        // Mapped pages do not move; the handle keeps this object, and with it the mapping.
        return new MemoryHandle(_mapping.Address + elementIndex, pinnable: this);
    }

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
