using System.Buffers;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>A range of guest memory as <see cref="Memory{T}"/>. It does not keep the mapping: after the memory is disposed of, its spans are refused.</summary>
internal sealed unsafe class GuestWindow(Mapping mapping, byte* address, int length) : MemoryManager<byte>
{
    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(mapping.IsClosed, mapping);
        // The mapping owns the bytes; the range was checked when the window was made.
        return new Span<byte>(address, length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(elementIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(elementIndex, length);
        // Mapped pages do not move; what a pin needs is that they stay mapped until Unpin.
        var held = false;
        mapping.DangerousAddRef(ref held);
        return new MemoryHandle(address + elementIndex, pinnable: this);
    }

    public override void Unpin() => mapping.DangerousRelease();

    protected override void Dispose(bool disposing)
    {
    }
}
