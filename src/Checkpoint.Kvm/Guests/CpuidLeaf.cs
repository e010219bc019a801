using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Machines.X64;

namespace Checkpoint.Kvm.Guests;

/// <summary>What one leaf of CPUID answers.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct CpuidLeaf(uint Eax, uint Ebx, uint Ecx, uint Edx)
{
    private const int EcxOffset = 20;

    /// <summary>Looks a leaf up in a table of struct kvm_cpuid_entry2; null where it is not there.</summary>
    public static CpuidLeaf? Find(ReadOnlySpan<byte> cpuid, uint function, uint index)
    {
        if (IndexOf(cpuid, function, index) is not { } at)
            return null;
        var entry = cpuid[at..];
        return new CpuidLeaf(
            BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]),
            BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(entry[EcxOffset..]),
            BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]));
    }

    /// <summary>The same table with bits set in ECX of a leaf.</summary>
    public static byte[] WithEcx(ReadOnlySpan<byte> cpuid, uint function, uint bits)
    {
        var changed = cpuid.ToArray();
        if (IndexOf(cpuid, function, 0) is { } at)
        {
            var ecx = changed.AsSpan(at + EcxOffset);
            BinaryPrimitives.WriteUInt32LittleEndian(ecx, BinaryPrimitives.ReadUInt32LittleEndian(ecx) | bits);
        }

        return changed;
    }

    private static int? IndexOf(ReadOnlySpan<byte> cpuid, uint function, uint index)
    {
        for (var at = 0; at + X64Cpuid.EntrySize <= cpuid.Length; at += X64Cpuid.EntrySize)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(cpuid[at..]) == function && BinaryPrimitives.ReadUInt32LittleEndian(cpuid[(at + 4)..]) == index)
                return at;
        }

        return null;
    }
}
