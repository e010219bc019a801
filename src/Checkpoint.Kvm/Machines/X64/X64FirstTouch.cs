using System.Buffers.Binary;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>Where in memory an x86 vCPU begins.</summary>
internal static class X64FirstTouch
{
    private const int RipOffset = 128; // struct kvm_regs
    private const int Cr0Offset = 224; // struct kvm_sregs and struct kvm_sregs2, whose first member is CS with its base
    private const int Cr3Offset = 240;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr3Address = 0x000f_ffff_ffff_f000;

    /// <summary>The guest physical address of the root of its page tables, or, without paging, of its next instruction; null where the state does not have it.</summary>
    public static ulong? Of(StateList vcpu)
    {
        if (!(vcpu.TryGet(StateIds.X64Sregs2, out var sregs) || vcpu.TryGet(StateIds.X64Sregs, out sregs)) || sregs.Length < Cr3Offset + sizeof(ulong))
            return null;
        if ((Word(sregs, Cr0Offset) & Cr0Paging) != 0)
            return Word(sregs, Cr3Offset) & Cr3Address;
        return vcpu.TryGet(StateIds.X64Regs, out var regs) && regs.Length >= RipOffset + sizeof(ulong)
            ? Word(sregs, 0) + Word(regs, RipOffset)
            : null;
    }

    private static ulong Word(ReadOnlyMemory<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.Span[offset..]);
}
