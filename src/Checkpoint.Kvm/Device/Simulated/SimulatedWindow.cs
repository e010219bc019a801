using System.Buffers;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>A range of a slot as <see cref="Memory{T}"/>; its spans are refused once the memory is disposed of.</summary>
internal sealed class SimulatedWindow(SimulatedMemory memory, SimulatedSlot slot, ulong offset, int length) : MemoryManager<byte>
{
    public override Span<byte> GetSpan()
    {
        memory.ThrowIfDisposed();
        return slot.From(offset, length);
    }

    public override MemoryHandle Pin(int elementIndex = 0) =>
        throw new NotSupportedException("Simulated guest memory has no address: use the window's span.");

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
