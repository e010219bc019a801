using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Where the registers of AVX-512 lie in an XSAVE area of the standard format, in bytes from its start. It differs by processor and
/// is told by leaf 0xD of CPUID, subleaves 5 to 7, in EBX (Intel SDM volume 1, section 13.5.6).
/// </summary>
/// <param name="MasksOffset">k0 to k7, 8 bytes each.</param>
/// <param name="UpperHalvesOffset">The upper 32 bytes of zmm0 to zmm15.</param>
/// <param name="UpperRegistersOffset">zmm16 to zmm31, 64 bytes each.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct XsaveLayout(int MasksOffset, int UpperHalvesOffset, int UpperRegistersOffset)
{
    private const uint Leaf = 0xd;
    private const int MasksBytes = 8 * 8;
    private const int UpperHalvesBytes = 16 * 32;
    private const int UpperRegistersBytes = 16 * 64;

    /// <summary>False where CPUID does not tell of one of the three.</summary>
    public bool IsKnown => MasksOffset > 0 && UpperHalvesOffset > 0 && UpperRegistersOffset > 0;

    /// <summary>An area is at least this long.</summary>
    public int End => Math.Max(Math.Max(MasksOffset + MasksBytes, UpperHalvesOffset + UpperHalvesBytes), UpperRegistersOffset + UpperRegistersBytes);

    /// <summary>The layout that CPUID tells, in entries of 40 bytes.</summary>
    public static XsaveLayout Of(ReadOnlySpan<byte> cpuid) => new(Offset(cpuid, 5), Offset(cpuid, 6), Offset(cpuid, 7));

    private static int Offset(ReadOnlySpan<byte> cpuid, uint component) => (int)(CpuidLeaf.Find(cpuid, Leaf, component)?.Ebx ?? 0);
}
