using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>An access to a port or to memory without a slot, whose instruction is finished at the next KVM_RUN.</summary>
/// <param name="Address">The port or the guest physical address.</param>
/// <param name="Size">Bytes of the access; 0 where there is none.</param>
/// <param name="IsWrite">Whether the guest writes.</param>
/// <param name="Register">The register that a read goes to.</param>
/// <param name="RegisterSize">Bytes of the register that change: a part of it, or all with zeros above.</param>
/// <param name="NextInstruction">Where the guest goes on.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct PendingAccess(ulong Address, int Size, bool IsWrite, int Register, int RegisterSize, ulong NextInstruction)
{
    public bool IsThere => Size != 0;
}
