namespace Checkpoint.Kvm.Device;

/// <summary>Ranges of guest memory whose writers wait. Ranges begin and end at multiples of <see cref="UnitBytes"/>, or where their slot does.</summary>
public interface IWriteProtection : IDisposable
{
    /// <summary>The granularity: a huge page.</summary>
    const ulong UnitBytes = 2 << 20;

    /// <summary>From here on who writes to the range waits. All vCPUs are parked, and nobody else writes meanwhile.</summary>
    void Protect(ulong guestAddress, ulong length);

    /// <summary>Lets the writers of a range go on; it may be unprotected already. After the disposal, which lets all go on, this does nothing.</summary>
    void Unprotect(ulong guestAddress, ulong length);
}
