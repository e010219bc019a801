using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// The task state segment that lets CPL 3 do port IO, by its permission bitmap: a clear bit allows a port. IOPL 3 would
/// do the same on hardware, but a KVM that runs guests in the host's user mode loses IOPL at the first entry.
/// </summary>
internal static class TaskState
{
    public const ulong Address = 0;

    /// <summary>Long enough for the bits of both ports and the byte behind them, which the processor reads too.</summary>
    public const int Bytes = 0x200;

    private const int HandlersStack = 0x04;
    private const int BitmapPointer = 0x66;
    private const byte Bitmap = 0x68;

    public static void Load(Action<ulong, ReadOnlyMemory<byte>> write) => Load(write, Address, 0);

    /// <summary>Writes a segment for one vCPU.</summary>
    /// <param name="write">Writes memory.</param>
    /// <param name="address">Where it lies.</param>
    /// <param name="stackTop">RSP0: where the stack of handlers at CPL 0 begins; 0 for a guest without handlers.</param>
    public static void Load(Action<ulong, ReadOnlyMemory<byte>> write, ulong address, ulong stackTop)
    {
        var segment = new byte[Bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(segment.AsSpan(HandlersStack), stackTop);
        segment[BitmapPointer] = Bitmap;
        write(address, segment);
    }
}
