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

    private const int BitmapPointer = 0x66;
    private const byte Bitmap = 0x68;

    public static void Load(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        var segment = new byte[Bytes];
        segment[BitmapPointer] = Bitmap;
        write(Address, segment);
    }
}
