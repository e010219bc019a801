using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The register page of a simulated local APIC: its state, and a timer that counts but never fires.</summary>
internal sealed class X64Apic
{
    private const int PageBytes = 1024;
    private const int Version = 0x30;
    private const int TaskPriority = 0x80;
    private const int ProcessorPriority = 0xa0;
    private const int InService = 0x100;
    private const int TimerVector = 0x320;
    private const int InitialCount = 0x380;
    private const int CurrentCount = 0x390;
    private const int DivideBy = 0x3e0;
    private const uint VersionNumber = 0x50014;
    private const uint Masked = 0x10000;
    private const uint TimerModes = 3 << 17;
    private const uint Deadline = 2 << 17;

    private readonly byte[] _page = new byte[PageBytes];
    private ulong _countFromNs;
    private uint _countFrom;

    public X64Apic(uint id, bool isBootProcessor)
    {
        Write(0x20, id << 24);
        Write(Version, VersionNumber);
        Write(0xe0, uint.MaxValue); // destination format
        Write(0xf0, 0xff); // spurious vector
        for (var vector = TimerVector; vector <= 0x370; vector += 0x10)
            Write(vector, Masked);
        if (isBootProcessor)
            Write(0x350, 0x700); // LINT0 as ExtINT: the 8259 of the boot processor
    }

    public bool IsInDeadlineMode => (Read(TimerVector) & TimerModes) == Deadline;

    public byte Cr8
    {
        get => (byte)(Read(TaskPriority) >> 4);
        set => Write(TaskPriority, (uint)value << 4);
    }

    public void Get(Span<byte> page, ulong nowNs)
    {
        _page.CopyTo(page);
        BinaryPrimitives.WriteUInt32LittleEndian(page[CurrentCount..], CountAt(nowNs));
        BinaryPrimitives.WriteUInt32LittleEndian(page[ProcessorPriority..], Priority());
    }

    public void Set(ReadOnlySpan<byte> page, ulong nowNs)
    {
        page[..PageBytes].CopyTo(_page);
        Write(Version, VersionNumber);
        // The timer goes on from where it stood, not from its initial count.
        _countFrom = Math.Min(Read(CurrentCount), Read(InitialCount));
        _countFromNs = nowNs;
    }

    // A nanosecond is a tick of the APIC's bus; periodic mode begins anew at the initial count.
    private uint CountAt(ulong nowNs)
    {
        var initial = Read(InitialCount);
        if (initial == 0 || _countFrom == 0 || IsInDeadlineMode)
            return 0;
        var divide = Read(DivideBy);
        var shift = (int)((((divide >> 1) & 4) | (divide & 3)) + 1) & 7;
        var ticks = (nowNs - _countFromNs) >> shift;
        if (ticks < _countFrom)
            return _countFrom - (uint)ticks;
        var isPeriodic = (Read(TimerVector) & TimerModes) == 1 << 17;
        return isPeriodic ? initial - (uint)((ticks - _countFrom) % initial) : 0;
    }

    // The higher class of the task's priority and of the interrupt in service (Intel SDM volume 3, 12.8.3.1).
    private uint Priority()
    {
        var task = Read(TaskPriority);
        var highest = 0u;
        for (var word = 7; word >= 0 && highest == 0; word--)
        {
            var bits = Read(InService + (0x10 * word));
            if (bits != 0)
                highest = (uint)((32 * word) + (31 - int.CreateTruncating(uint.LeadingZeroCount(bits))));
        }

        return (task & 0xf0) >= (highest & 0xf0) ? task & 0xff : highest & 0xf0;
    }

    private uint Read(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_page.AsSpan(offset));

    private void Write(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_page.AsSpan(offset), value);
}
