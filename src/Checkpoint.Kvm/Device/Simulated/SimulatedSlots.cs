using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>The memory slots of a VM and their dirty logs; what KVM_SET_USER_MEMORY_REGION allows.</summary>
internal sealed class SimulatedSlots(ulong firstAddressBeyond)
{
    private const uint LogDirtyPages = 1;
    private const uint KnownFlags = 3; // KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY

    // Replaced as a whole, so that vCPUs that run look at one or the other.
    private volatile SimulatedSlot[] _slots = [];
    private readonly HashSet<uint> _logged = [];
    private volatile GuestMemoryException? _failure;

    /// <summary>Why no vCPU may run any more: memory that does not come; null while they may.</summary>
    public GuestMemoryException? Failure
    {
        get => _failure;
        set => _failure = value;
    }

    /// <summary>The slot of a guest physical address; null where there is none, which makes an access MMIO.</summary>
    public SimulatedSlot? At(ulong guestAddress)
    {
        foreach (var slot in _slots)
        {
            if (slot.Contains(guestAddress))
                return slot;
        }

        return null;
    }

    /// <summary>Reads an aligned word, as a walk through page tables does.</summary>
    public bool TryReadWord(ulong guestAddress, out ulong word)
    {
        var slot = At(guestAddress);
        slot?.Demand(guestAddress - slot.Region.GuestAddress);
        word = slot is null ? 0 : slot.Words[(int)((guestAddress - slot.Region.GuestAddress) >> 3)];
        return slot is not null;
    }

    /// <summary>KVM_SET_USER_MEMORY_REGION for a new slot.</summary>
    /// <returns>The error number.</returns>
    public int Add(SimulatedSlot added)
    {
        var region = added.Region;
        if (region.Slot >= SimulatedCapabilities.MemorySlots || (region.Flags & ~KnownFlags) != 0)
            return Errno.EINVAL;
        if (region.GuestAddress >= firstAddressBeyond || region.SizeBytes > firstAddressBeyond - region.GuestAddress)
            return Errno.EINVAL;
        // A slot that is there already may change its flags only, and this is other memory.
        if (Array.Exists(_slots, slot => slot.Region.Slot == region.Slot))
            return Errno.EINVAL;
        foreach (var slot in _slots)
        {
            if (region.GuestAddress < slot.Region.GuestAddress + slot.Region.SizeBytes && slot.Region.GuestAddress < region.GuestAddress + region.SizeBytes)
                return Errno.EEXIST;
        }

        _slots = [.. _slots, added];
        if ((region.Flags & LogDirtyPages) != 0)
            _logged.Add(region.Slot);
        return 0;
    }

    /// <summary>The slot of a number.</summary>
    public SimulatedSlot Known(uint number)
    {
        // Asked in the pause, where nothing is allocated, not even by a search.
        foreach (var slot in _slots)
        {
            if (slot.Region.Slot == number)
                return slot;
        }

        throw new ArgumentException($"This VM knows no memory slot {number}.", nameof(number));
    }

    /// <summary>Switches the log of a slot; it begins with no page in it, or with all.</summary>
    public void SetLogging(uint number, bool on, bool isFull)
    {
        var slot = Known(number);
        if (!on)
            _logged.Remove(number);
        else if (_logged.Add(number))
            slot.BeginLog(isFull);
    }

    public bool IsLogged(uint number) => _logged.Contains(number);
}
