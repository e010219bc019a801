using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// REGS, SREGS and VCPU_EVENTS in one call instead of three (KVM_CAP_SYNC_REGS), where that gives the same bytes: on a vCPU
/// that has run and is runnable or halted. It comes after MP_STATE, whose reading may change them.
/// </summary>
internal sealed class X64SyncRegs
{
    private const int SregsBytes = 312; // struct kvm_sregs
    private const int SharedSregsBytes = 280; // up to where struct kvm_sregs2 goes its own way
    private const int Cr0Offset = 224;
    private const int Cr4Offset = 248;
    private const int EferOffset = 264;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr4Pae = 1UL << 5;
    private const ulong EferLma = 1UL << 10;
    private const uint Runnable = 0; // KVM_MP_STATE_RUNNABLE
    private const uint Halted = 3; // KVM_MP_STATE_HALTED

    private readonly byte[] _mpState;
    private readonly byte[] _regs;
    private readonly byte[] _sregs;
    private readonly byte[]? _sregs2;
    private readonly byte[] _events;

    private X64SyncRegs(byte[] mpState, byte[] regs, byte[] sregs, byte[]? sregs2, byte[] events)
    {
        _mpState = mpState;
        _regs = regs;
        _sregs = sregs;
        _sregs2 = sregs2;
        _events = events;
    }

    /// <summary>Looks for the buffers that the call fills; null where the kernel does not have it or a struct is not saved.</summary>
    public static X64SyncRegs? Over(X64StatePlan plan, byte[][] groups)
    {
        byte[]? BufferOf(ulong id)
        {
            for (var i = 0; i < groups.Length; i++)
            {
                if (plan.Groups[i].Id == id)
                    return groups[i];
            }

            return null;
        }

        var sregs2 = BufferOf(StateIds.X64Sregs2);
        var sregs = sregs2 is null ? BufferOf(StateIds.X64Sregs) : GC.AllocateArray<byte>(SregsBytes, pinned: true);
        return plan.HasSyncRegs
            && BufferOf(StateIds.X64MpState) is { } mpState
            && BufferOf(StateIds.X64Regs) is { } regs
            && BufferOf(StateIds.X64VcpuEvents) is { } events
            && sregs is not null
                ? new X64SyncRegs(mpState, regs, sregs, sregs2, events)
                : null;
    }

    /// <summary>Fills what it can.</summary>
    /// <returns>The ids of the groups that the buffers now hold, as <see cref="Holds"/> asks for them.</returns>
    public X64Synced Capture(IVcpu vcpu)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(_mpState) is not (Runnable or Halted) || !vcpu.TryGetSyncRegs(_regs, _sregs, _events))
            return X64Synced.Nothing;
        if (_sregs2 is null)
            return X64Synced.All;

        // With PAE paging struct kvm_sregs2 has the PDPTRs, which struct kvm_sregs lacks.
        if ((Word(Cr0Offset) & Cr0Paging) != 0 && (Word(Cr4Offset) & Cr4Pae) != 0 && (Word(EferOffset) & EferLma) == 0)
            return X64Synced.AllButSregs;
        _sregs.AsSpan(0, SharedSregsBytes).CopyTo(_sregs2);
        _sregs2.AsSpan(SharedSregsBytes).Clear();
        return X64Synced.All;
    }

    /// <summary>Whether a group need not be read once more.</summary>
    public static bool Holds(X64Synced synced, ulong id) => id switch
    {
        StateIds.X64Regs or StateIds.X64VcpuEvents => synced != X64Synced.Nothing,
        StateIds.X64Sregs or StateIds.X64Sregs2 => synced == X64Synced.All,
        _ => false,
    };

    private ulong Word(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_sregs.AsSpan(offset));
}

/// <summary>What one call brought.</summary>
internal enum X64Synced
{
    /// <summary>The call was not possible.</summary>
    Nothing,

    /// <summary>General registers and events.</summary>
    AllButSregs,

    /// <summary>General registers, special registers and events.</summary>
    All,
}
