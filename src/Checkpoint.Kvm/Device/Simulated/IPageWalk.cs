namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>How an architecture finds the physical address behind a guest's address. Accessed and dirty bits of tables are not set.</summary>
internal interface IPageWalk
{
    /// <summary>Translates an address.</summary>
    /// <param name="slots">The memory that the tables are in.</param>
    /// <param name="address">The guest's virtual address.</param>
    /// <param name="isUser">Whether the access has the privileges of the guest's code; otherwise it is the processor's own.</param>
    /// <param name="physical">The guest physical address.</param>
    /// <param name="isWritable">Whether the guest's code may write there.</param>
    /// <returns>False where the tables lead nowhere or forbid it.</returns>
    bool TryWalk(SimulatedSlots slots, ulong address, bool isUser, out ulong physical, out bool isWritable);
}
