using System.Collections.Immutable;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>Who is about to write asks first; where the unit is protected its thread calls whoever protected it.</summary>
internal sealed class SimulatedWriteProtection : IWriteProtection
{
    private readonly ImmutableArray<SimulatedSlot> _slots;
    private readonly Action<ulong> _onWrite;
    private readonly bool[][] _units;

    public SimulatedWriteProtection(ImmutableArray<SimulatedSlot> slots, Action<ulong> onWrite)
    {
        _slots = slots;
        _onWrite = onWrite;
        _units = [.. slots.Select(slot => new bool[UnitOf(slot, slot.Region.GuestAddress + slot.Region.SizeBytes - 1) + 1])];
        for (var i = 0; i < slots.Length; i++)
        {
            var units = _units[i];
            var slot = slots[i];
            slot.AboutToWrite = offset =>
            {
                var address = slot.Region.GuestAddress + offset;
                if (Volatile.Read(ref units[UnitOf(slot, address)]))
                    _onWrite(address);
            };
        }
    }

    public void Protect(ulong guestAddress, ulong length) => Set(guestAddress, length, isProtected: true);

    public void Unprotect(ulong guestAddress, ulong length) => Set(guestAddress, length, isProtected: false);

    public void Dispose()
    {
        foreach (var slot in _slots)
            slot.AboutToWrite = null;
    }

    private static int UnitOf(SimulatedSlot slot, ulong guestAddress) =>
        (int)((guestAddress / IWriteProtection.UnitBytes) - (slot.Region.GuestAddress / IWriteProtection.UnitBytes));

    private void Set(ulong guestAddress, ulong length, bool isProtected)
    {
        var region = MemorySlots.Find([.. _slots.Select(slot => slot.Region)], guestAddress, length);
        var last = UnitOf(_slots[region], guestAddress + length - 1);
        for (var unit = UnitOf(_slots[region], guestAddress); unit <= last; unit++)
            Volatile.Write(ref _units[region][unit], isProtected);
    }
}
