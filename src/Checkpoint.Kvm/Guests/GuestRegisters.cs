using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>What verification needs of one vCPU.</summary>
/// <param name="General">The general registers.</param>
/// <param name="Xsave">
/// The XSAVE area in the standard (non-compacted) format, as KVM_GET_XSAVE and KVM_GET_XSAVE2 give it, or the 512 bytes
/// of FXSAVE. The ledger carries nothing there, so for it this may be empty.
/// </param>
public sealed record GuestRegisters(GeneralRegisters General, ReadOnlyMemory<byte> Xsave)
{
    /// <summary>All of the vCPU's state, for a guest that looks at more of it: only the timer guest does.</summary>
    public StateList State { get; init; } = StateList.Empty;
}
