using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// An exception that is to be delivered and is not yet on its way, in struct kvm_vcpu_events. The kernel keeps it apart from one that is where
/// KVM_CAP_EXCEPTION_PAYLOAD is enabled, and says so by KVM_VCPUEVENT_VALID_PAYLOAD. Otherwise exception.injected stands for both, and what Linux puts into
/// exception.pending all the same cannot be set: a state with it could not be restored.
/// </summary>
internal static class X64PendingException
{
    private const uint ValidPayload = 16; // KVM_VCPUEVENT_VALID_PAYLOAD

    private static readonly int s_flags = (int)Marshal.OffsetOf<kvm_vcpu_events>(nameof(kvm_vcpu_events.flags));
    private static readonly int s_pending = (int)Marshal.OffsetOf<kvm_vcpu_events>(nameof(kvm_vcpu_events.exception_pending));
    private static readonly int s_hasPayload = (int)Marshal.OffsetOf<kvm_vcpu_events>(nameof(kvm_vcpu_events.exception_has_payload));

    /// <summary>Clears what has no meaning.</summary>
    /// <param name="events">A struct kvm_vcpu_events of KVM_GET_VCPU_EVENTS.</param>
    public static void LeaveOutWhereInvalid(Span<byte> events)
    {
        if ((BinaryPrimitives.ReadUInt32LittleEndian(events[s_flags..]) & ValidPayload) != 0)
            return;
        events[s_pending] = 0;
        events[s_hasPayload..].Clear();
    }
}
