using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// One page with the descriptor tables of the timer guest, for all vCPUs: an interrupt loads CS from the GDT, and IRETQ loads CS
/// and SS of CPL 3.
/// </summary>
internal static class TimerTables
{
    public const ushort KernelCode = 0x08;
    public const byte DebugVector = 1;

    private const ulong InterruptTableOffset = 0x200;
    private const int GateBytes = 16;
    private const ulong PresentInterruptGate = 0x8e00; // For CPL 0; interrupts are off in the handler.

    // By selector / 8. 64-bit code at CPL 0; writable data and 64-bit code at CPL 3, as GuestSegment has them.
    private static readonly ulong[] s_segments =
        [0, 0x00af_9b00_0000_ffff, 0, 0, 0, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff];

    public static GuestTable Segments(ulong page) => new(page, (ushort)((s_segments.Length * sizeof(ulong)) - 1));

    public static GuestTable Interrupts(ulong page) => new(page + InterruptTableOffset, ((TimerApic.Vector + 1) * GateBytes) - 1);

    public static void Load(Action<ulong, ReadOnlyMemory<byte>> write, ulong page, ulong timerHandler, ulong trapHandler)
    {
        var tables = new byte[PageTables.PageBytes];
        for (var i = 0; i < s_segments.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(i * sizeof(ulong)), s_segments[i]);
        WriteGate(tables, DebugVector, trapHandler);
        WriteGate(tables, TimerApic.Vector, timerHandler);
        write(page, tables);
    }

    private static void WriteGate(Span<byte> tables, byte vector, ulong handler)
    {
        var gate = tables.Slice((int)InterruptTableOffset + (vector * GateBytes), GateBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(
            gate, (handler & 0xffff) | ((ulong)KernelCode << 16) | (PresentInterruptGate << 32) | ((handler & 0xffff_0000) << 32));
        BinaryPrimitives.WriteUInt64LittleEndian(gate[8..], handler >> 32);
    }
}
