namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>The tables behind TTBR0_EL1 with pages of 4 KiB, for EL1 (Arm ARM, D8.2); without SCTLR_EL1.M an address is physical.</summary>
internal sealed class Arm64PageWalk : IPageWalk
{
    private const int PageShift = 12;
    private const int LastLevel = 3;
    private const ulong Valid = 1;
    private const ulong TableOrPage = 2;
    private const ulong Accessed = 1 << 10;
    private const ulong ReadOnly = 1 << 7;
    private const ulong TableAddress = 0x0000_ffff_ffff_f000;
    private const ulong GranuleField = 3 << 14;

    public bool IsOn { get; set; }

    /// <summary>TTBR0_EL1.</summary>
    public ulong Root { get; set; }

    /// <summary>TCR_EL1.</summary>
    public ulong Control { get; set; }

    public bool TryWalk(SimulatedSlots slots, ulong address, bool isUser, out ulong physical, out bool isWritable)
    {
        (physical, isWritable) = (address, true);
        if (!IsOn)
            return true;
        var bits = 64 - (int)(Control & 0x3f);
        if (bits is < 25 or > 48 || (Control & GranuleField) != 0 || address >> bits != 0)
            return false;
        var table = Root & TableAddress;
        for (var level = LastLevel - ((bits - PageShift - 1) / 9); level <= LastLevel; level++)
        {
            var shift = PageShift + (9 * (LastLevel - level));
            var index = (address >> shift) & 0x1ff;
            if (!slots.TryReadWord(table + (index * sizeof(ulong)), out var entry) || (entry & Valid) == 0)
                return false;
            var isTable = (entry & TableOrPage) != 0;
            if (isTable && level < LastLevel)
            {
                table = entry & TableAddress;
                continue;
            }

            // At the last level only a page is valid, above it a block, and none at the top.
            if ((level == LastLevel) != isTable || level == 0 || (entry & Accessed) == 0)
                return false;
            var offset = (1UL << shift) - 1;
            physical = (entry & TableAddress & ~offset) | (address & offset);
            isWritable = (entry & ReadOnly) == 0;
            return true;
        }

        return false;
    }
}
