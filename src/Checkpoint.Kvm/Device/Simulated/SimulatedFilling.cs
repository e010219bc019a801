using System.Collections.Immutable;
using Checkpoint.Kvm.Memory;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// Memory that comes in when a simulated vCPU or the host first touches it. Who touches it asks before it looks, so a unit is read
/// straight into its place.
/// </summary>
internal sealed class SimulatedFilling : MemoryFilling
{
    private readonly ImmutableArray<SimulatedSlot> _slots;
    private readonly SimulatedSlots _vm;

    internal SimulatedFilling(SimulatedMemory memory, SimulatedSlots vm, IPageSource source)
        : base(memory.Regions, source)
    {
        _slots = memory.Slots;
        _vm = vm;
        foreach (var slot in _slots)
            slot.Filling = this;
        Begin();
    }

    private protected override void Place(int region, ulong guestAddress, int length) =>
        ReadSource(guestAddress, _slots[region].From(guestAddress - Regions[region].GuestAddress, length));

    private protected override void Stop(GuestMemoryException failure) => _vm.Failure = failure;

    private protected override void OnComplete()
    {
    }

    private protected override void Release()
    {
    }
}
