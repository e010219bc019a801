using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// The local APIC of a vCPU of the timer guest, as <c>kvm_lapic_state</c> has it: the register page, each register at its offset
/// (Intel SDM volume 3, table 11-1).
/// </summary>
internal static class TimerApic
{
    /// <summary>The vector of the timer's interrupt.</summary>
    public const byte Vector = 0x40;

    /// <summary>From one tick to the next, in counts of the timer: KVM's local APIC counts nanoseconds.</summary>
    public const ulong PeriodCounts = 2_000_000;

    /// <summary>From one tick to the next, in cycles of the TSC: 1 to 3 ms.</summary>
    public const ulong PeriodCycles = 5_000_000;

    /// <summary>A deadline that has passed: the timer fires at once.</summary>
    public const ulong PassedDeadline = 1;

    private const int SpuriousVector = 0xf0;
    private const int InService = 0x100;
    private const int Requested = 0x200;
    private const int LocalVectorTimer = 0x320;
    private const int InitialCount = 0x380;
    private const int CurrentCount = 0x390;
    private const int DivideConfiguration = 0x3e0;

    private const uint EnabledAndSpurious = 0x1ff;
    private const uint DeadlineMode = 1 << 18;
    private const uint DivideByOne = 0xb;
    private const int BytesBetweenVectors = 16; // 32 vectors in 4 bytes, on a boundary of 16.

    /// <summary>Switches the local APIC on and sets its timer, one-shot; by count it is armed too.</summary>
    public static void Arm(Span<byte> registers, bool byDeadline)
    {
        Write(registers, SpuriousVector, EnabledAndSpurious);
        Write(registers, LocalVectorTimer, TimerEntry(byDeadline));
        Write(registers, DivideConfiguration, DivideByOne);
        Write(registers, InitialCount, byDeadline ? 0 : (uint)PeriodCounts);
        Write(registers, CurrentCount, byDeadline ? 0 : (uint)PeriodCounts);
    }

    /// <summary>Compares what only the start sets.</summary>
    public static void CheckSettings(Findings findings, ReadOnlySpan<byte> registers, bool byDeadline)
    {
        findings.Equal("lapic.svr", EnabledAndSpurious, Read(registers, SpuriousVector));
        findings.Equal("lapic.lvtt", TimerEntry(byDeadline), Read(registers, LocalVectorTimer));
        findings.Equal("lapic.tdcr", DivideByOne, Read(registers, DivideConfiguration));
        findings.Equal("lapic.tmict", byDeadline ? 0 : PeriodCounts, Read(registers, InitialCount));
    }

    /// <summary>Whether the timer's interrupt waits for the vCPU to take it.</summary>
    public static bool IsRequested(ReadOnlySpan<byte> registers) => IsSet(registers, Requested);

    /// <summary>Whether the vCPU has taken the timer's interrupt and not yet ended it.</summary>
    public static bool IsInService(ReadOnlySpan<byte> registers) => IsSet(registers, InService);

    /// <summary>
    /// Whether a tick will come of the count. A timer that has run out may still owe its interrupt, and KVM lets a count of 0
    /// fire at once when it is set, so the initial count says it, not the current one.
    /// </summary>
    public static bool IsCounting(ReadOnlySpan<byte> registers) => Read(registers, InitialCount) != 0;

    private static uint TimerEntry(bool byDeadline) => Vector | (byDeadline ? DeadlineMode : 0);

    private static bool IsSet(ReadOnlySpan<byte> registers, int bits) =>
        ((Read(registers, bits + (Vector / 32 * BytesBetweenVectors)) >> (Vector % 32)) & 1) != 0;

    private static uint Read(ReadOnlySpan<byte> registers, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(registers[offset..]);

    private static void Write(Span<byte> registers, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(registers[offset..], value);
}
