using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>CPUID tables for simulated processors, and what a vCPU's table allows.</summary>
public static class X64CpuidTable
{
    private const int EntryBytes = 40;
    private const uint HasIndex = 1; // KVM_CPUID_FLAG_SIGNIFCANT_INDEX, as the kernel spells it

    /// <summary>A small processor with SSE2, XSAVE and AVX2.</summary>
    public static ReadOnlyMemory<byte> Default { get; } = Build(hasAvx2: true);

    /// <summary>The same processor without AVX and AVX2.</summary>
    public static ReadOnlyMemory<byte> WithoutAvx { get; } = Build(hasAvx2: false);

    internal static bool HasXsave(ReadOnlySpan<byte> table) =>
        TryFind(table, 1, 0, out var entry) && (BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]) & (1 << 26)) != 0;

    /// <summary>The XCR0 bits that a guest with this table may set.</summary>
    internal static ulong SupportedXcr0(ReadOnlySpan<byte> table) => TryFind(table, 0xd, 0, out var entry)
        ? BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]) << 32)
        : 0;

    private static bool TryFind(ReadOnlySpan<byte> table, uint function, uint index, out ReadOnlySpan<byte> found)
    {
        for (var offset = 0; offset + EntryBytes <= table.Length; offset += EntryBytes)
        {
            found = table.Slice(offset, EntryBytes);
            if (BinaryPrimitives.ReadUInt32LittleEndian(found) == function && BinaryPrimitives.ReadUInt32LittleEndian(found[4..]) == index)
                return true;
        }

        found = default;
        return false;
    }

    private static byte[] Build(bool hasAvx2)
    {
        var avx = hasAvx2 ? 1u << 28 : 0;
        var xcr0 = hasAvx2 ? 7u : 3;
        var xsaveBytes = hasAvx2 ? 832u : 576;
        (uint Function, uint Index, uint Flags, uint Eax, uint Ebx, uint Ecx, uint Edx)[] entries =
        [
            (0, 0, 0, 0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69), // "GenuineIntel"
            (1, 0, 0, 0x0009_06ea, 0x0002_0800, 0x8120_2000 | (1u << 26) | avx, 0x078b_fbff),
            (7, 0, HasIndex, 0, hasAvx2 ? 1u << 5 : 0, 0, 0),
            (0xb, 0, HasIndex, 0, 1, 0x100, 0),
            (0xd, 0, HasIndex, xcr0, xsaveBytes, xsaveBytes, 0),
            (0xd, 1, HasIndex, 0, 0, 0, 0),
            (0xd, 2, HasIndex, hasAvx2 ? 256u : 0, hasAvx2 ? 576u : 0, 0, 0),
            (0x4000_0000, 0, 0, 0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d), // "KVMKVMKVM"
            (0x4000_0001, 0, 0, 0x0100_7efb, 0, 0, 0),
            (0x8000_0000, 0, 0, 0x8000_0008, 0, 0, 0),
            (0x8000_0001, 0, 0, 0, 0, 0x121, 0x2c10_0800),
            (0x8000_0008, 0, 0, 0x3030, 0, 0, 0),
        ];
        var table = new byte[entries.Length * EntryBytes];
        for (var i = 0; i < entries.Length; i++)
        {
            var (function, index, flags, eax, ebx, ecx, edx) = entries[i];
            uint[] words = [function, index, flags, eax, ebx, ecx, edx];
            for (var word = 0; word < words.Length; word++)
                BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan((i * EntryBytes) + (4 * word)), words[word]);
        }

        return table;
    }
}
