using System.Collections.Immutable;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The MSRs of a simulated vCPU, and what values KVM refuses even when the host sets them.</summary>
internal static class X64MsrTable
{
    public const uint Tsc = 0x10;
    public const uint ApicBase = 0x1b;
    public const uint TscAdjust = 0x3b;
    public const uint TscDeadline = 0x6e0;
    public const uint Efer = 0xc000_0080;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;
    public const uint SystemTime = 0x12;
    public const uint SystemTimeNew = 0x4b56_4d01;

    private const uint SysenterEsp = 0x175;
    private const uint SysenterEip = 0x176;
    private const uint Pat = 0x277;
    private const uint MtrrDefaultType = 0x2ff;
    private const uint AsyncPageFaultInterrupt = 0x4b56_4d06;
    private const uint AsyncPageFaultAcknowledge = 0x4b56_4d07;
    private const uint KernelGsBase = 0xc000_0102;
    private const ulong PatAfterReset = 0x0007_0406_0007_0406;

    public static ImmutableArray<SimulatedMsr> Default { get; } = [.. Listed(), .. Unlisted()];

    /// <summary>Whether KVM refuses a value.</summary>
    /// <param name="index">The MSR.</param>
    /// <param name="value">The value.</param>
    /// <param name="hasLocalApic">Whether there is a local APIC in the kernel.</param>
    public static bool Refuses(uint index, ulong value, bool hasLocalApic) => index switch
    {
        0xc000_0082 or 0xc000_0083 or FsBase or GsBase or KernelGsBase or SysenterEsp or SysenterEip => !IsCanonical(value),
        Pat => !IsPat(value),
        MtrrDefaultType => (value & ~0xcffUL) != 0 || !IsMemoryType((byte)value),
        // Seen on a real kernel: without a local APIC even the value that was read is refused.
        AsyncPageFaultInterrupt or AsyncPageFaultAcknowledge => !hasLocalApic || value > byte.MaxValue,
        >= 0x200 and <= 0x20f when (index & 1) == 0 => !IsMemoryType((byte)value),
        _ => false,
    };

    private static bool IsCanonical(ulong value) => (ulong)((long)(value << 16) >> 16) == value;

    private static bool IsPat(ulong value)
    {
        for (var i = 0; i < 8; i++)
        {
            if ((byte)(value >> (8 * i)) is not (0 or 1 or 4 or 5 or 6 or 7))
                return false;
        }

        return true;
    }

    private static bool IsMemoryType(byte type) => type is 0 or 1 or 4 or 5 or 6;

    private static IEnumerable<SimulatedMsr> Listed() =>
    [
        new(0x174), new(SysenterEsp), new(SysenterEip), new(0xc000_0081), new(0xc000_0083), new(KernelGsBase), new(0xc000_0084),
        new(0xc000_0082), new(Tsc), new(Pat, PatAfterReset), new(0xc000_0103), new(0x48), new(0xc001_011f),
        .. Enumerable.Range(0x200, 16).Select(index => new SimulatedMsr((uint)index)), // IA32_MTRR_PHYSBASE and …MASK 0 to 7
        new(0x250), new(0x258), new(0x259),
        .. Enumerable.Range(0x268, 8).Select(index => new SimulatedMsr((uint)index)), // IA32_MTRR_FIX4K
        new(MtrrDefaultType), new(0x11), new(SystemTime), new(0x4b56_4d00), new(SystemTimeNew), new(0x4b56_4d02),
        new(AsyncPageFaultInterrupt), new(AsyncPageFaultAcknowledge), new(0x4b56_4d03), new(0x4b56_4d04), new(TscAdjust), new(TscDeadline),
        new(0x10a), new(0x345), new(0x1a0, 1), new(0x17a), new(0x17b), new(0x9e), new(0xce, 0x8000_0000), new(0x140),
        new(0x8b, 0x1_0000_0000), new(0x4b56_4d05, 1),
    ];

    // What KVM_GET_SREGS carries; KVM_GET_MSRS reads it as well.
    private static IEnumerable<SimulatedMsr> Unlisted() =>
        [new(ApicBase, 0, IsListed: false), new(Efer, 0, IsListed: false), new(FsBase, 0, IsListed: false), new(GsBase, 0, IsListed: false)];
}
