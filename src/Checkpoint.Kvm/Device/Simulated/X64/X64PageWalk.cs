namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The four-level page tables of long mode, for user mode (Intel SDM volume 3, 5.5).</summary>
internal sealed class X64PageWalk : IPageWalk
{
    private const int PageShift = 12;
    private const int TopShift = 39;
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong User = 4;
    private const ulong LargePage = 0x80;
    private const ulong TableAddress = 0x000f_ffff_ffff_f000;

    /// <summary>CR3.</summary>
    public ulong Root { get; set; }

    public bool TryWalk(SimulatedSlots slots, ulong address, bool isUser, out ulong physical, out bool isWritable)
    {
        (physical, isWritable) = (0, true);
        // 48 bits, the upper ones a copy of the last.
        if ((ulong)((long)(address << 16) >> 16) != address)
            return false;
        var table = Root & TableAddress;
        for (var shift = TopShift; ; shift -= 9)
        {
            if (!slots.TryReadWord(table + (((address >> shift) & 0x1ff) * sizeof(ulong)), out var entry))
                return false;
            if ((entry & Present) == 0 || (isUser && (entry & User) == 0))
                return false;
            isWritable &= (entry & Writable) != 0;
            if (shift == PageShift || (shift < TopShift && (entry & LargePage) != 0))
            {
                var offset = (1UL << shift) - 1;
                physical = (entry & TableAddress & ~offset) | (address & offset);
                return true;
            }

            table = entry & TableAddress;
        }
    }
}
