using System.Buffers.Binary;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>CPUID tables: entries of struct kvm_cpuid_entry2, 40 bytes each.</summary>
public static class X64Cpuid
{
    /// <summary>Bytes of one entry.</summary>
    public const int EntrySize = 40;

    private const int FunctionOffset = 0;
    private const int EbxOffset = 16;
    private const int EdxOffset = 24;

    /// <summary>What KVM_GET_SUPPORTED_CPUID gave, made one vCPU's own: the APIC id stands in leaf 1 and in the topology leaves.</summary>
    /// <param name="supported">The entries that the kernel gave.</param>
    /// <param name="apicId">The vCPU's APIC id.</param>
    public static byte[] ForVcpu(ReadOnlySpan<byte> supported, uint apicId)
    {
        var entries = supported.ToArray();
        for (var offset = 0; offset < entries.Length; offset += EntrySize)
        {
            var entry = entries.AsSpan(offset, EntrySize);
            switch (BinaryPrimitives.ReadUInt32LittleEndian(entry[FunctionOffset..]))
            {
                case 1:
                    var ebx = BinaryPrimitives.ReadUInt32LittleEndian(entry[EbxOffset..]);
                    BinaryPrimitives.WriteUInt32LittleEndian(entry[EbxOffset..], (ebx & 0x00ff_ffff) | (apicId << 24));
                    break;
                case 0xb or 0x1f:
                    BinaryPrimitives.WriteUInt32LittleEndian(entry[EdxOffset..], apicId);
                    break;
                default:
                    break;
            }
        }

        return entries;
    }
}
