using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

// Where units begin and end: at multiples of 2 MiB of guest addresses, cut to their slots.
public abstract partial class MemoryFilling
{
    /// <summary>The guest address and length of a unit, cut to its slot.</summary>
    private protected (ulong GuestAddress, int Length) RangeOf(int region, int unit)
    {
        var start = Regions[region].GuestAddress;
        var end = start + Regions[region].SizeBytes;
        var first = Math.Max(start, (start & ~(UnitBytes - 1UL)) + ((ulong)unit * UnitBytes));
        var beyond = (first & ~(UnitBytes - 1UL)) + UnitBytes;
        // The last unit of the address space ends at 0.
        return (first, (int)((beyond < first || beyond > end ? end : beyond) - first));
    }

    /// <summary>The units that follow each other and are not there, as ranges of guest memory.</summary>
    private protected IEnumerable<(int Region, ulong GuestAddress, ulong Length)> MissingRanges()
    {
        for (var region = 0; region < _units.Length; region++)
        {
            for (var unit = 0; unit < _units[region].Length; unit++)
            {
                if (IsThere(region, unit))
                    continue;
                var (start, length) = RangeOf(region, unit);
                var end = start + (ulong)length;
                while (unit + 1 < _units[region].Length && !IsThere(region, unit + 1))
                    end += (ulong)RangeOf(region, ++unit).Length;
                yield return (region, start, end - start);
            }
        }
    }

    private static int UnitAt(ulong start, ulong guestAddress) => (int)((guestAddress / UnitBytes) - (start / UnitBytes));

    private static int UnitsOf(MemoryRegion region) => UnitAt(region.GuestAddress, region.GuestAddress + region.SizeBytes - 1) + 1;

    private bool IsThere(int region, int unit) => Volatile.Read(ref _units[region][unit]) == There;
}
