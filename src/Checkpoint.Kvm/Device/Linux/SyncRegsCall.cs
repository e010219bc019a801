using System.Runtime.CompilerServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>The registers that struct kvm_run carries out of KVM_RUN (KVM_CAP_SYNC_REGS): struct kvm_sync_regs of x86.</summary>
internal static class SyncRegsCall
{
    /// <summary>KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS and KVM_SYNC_X86_EVENTS: also what the capability answers.</summary>
    internal const uint All = 7;

    private const int Offset = 304; // kvm_run.s

    /// <summary>Copies the three structs out of struct kvm_run.</summary>
    internal static void Read(ReadOnlySpan<byte> run, Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        var from = run[Offset..];
        from[..Unsafe.SizeOf<kvm_regs>()].CopyTo(regs);
        from = from[Unsafe.SizeOf<kvm_regs>()..];
        from[..Unsafe.SizeOf<kvm_sregs>()].CopyTo(sregs);
        from = from[Unsafe.SizeOf<kvm_sregs>()..];
        from[..Unsafe.SizeOf<kvm_vcpu_events>()].CopyTo(events);
    }
}
