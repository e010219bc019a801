using System.Collections.Immutable;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// The pages that the host has written, which KVM's dirty log does not hold: it knows the writes of vCPUs only. Any thread may
/// note a write, after it has made it: whoever takes the note and then reads the page sees the write.
/// </summary>
public sealed class WrittenPages
{
    private const int PageShift = 12;

    private readonly ImmutableArray<MemoryRegion> _regions;
    private readonly ulong[][] _words;
    private bool _isAny;

    /// <summary>Nothing is noted yet.</summary>
    /// <param name="regions">The memory's slots.</param>
    public WrittenPages(ImmutableArray<MemoryRegion> regions)
    {
        _regions = regions;
        _words = [.. regions.Select(region => new ulong[PageSet.WordsOf(region)])];
    }

    /// <summary>Notes a write. An owner that writes guest memory past <see cref="Device.IGuestMemory"/> calls this itself.</summary>
    /// <param name="guestAddress">Guest physical address of the first byte written.</param>
    /// <param name="length">How many bytes; they lie in one slot.</param>
    public void Mark(ulong guestAddress, ulong length)
    {
        if (length == 0)
            return;
        for (var i = 0; i < _regions.Length; i++)
        {
            var offset = guestAddress - _regions[i].GuestAddress;
            if (offset >= _regions[i].SizeBytes)
                continue;
            var last = (long)((Math.Min(offset + length, _regions[i].SizeBytes) - 1) >> PageShift);
            for (var page = (long)(offset >> PageShift); page <= last; page++)
                Interlocked.Or(ref _words[i][page >> 6], 1UL << (int)(page & 63));
            // After the notes: who takes them looks here first.
            _isAny = true;
            return;
        }
    }

    /// <summary>Takes all notes, word by word.</summary>
    internal void MoveTo(PageSet pages)
    {
        // As a rule the host writes nothing, and the pause goes through no empty notes.
        if (!Interlocked.Exchange(ref _isAny, false))
            return;
        for (var i = 0; i < _words.Length; i++)
        {
            var words = _words[i];
            var to = pages.Of(i);
            for (var word = 0; word < to.Length; word++)
            {
                // A note that is made behind this look is taken the next time.
                var next = words.AsSpan(word).IndexOfAnyExcept(0UL);
                if (next < 0)
                    break;
                word += next;
                to[word] |= Interlocked.Exchange(ref words[word], 0);
            }
        }
    }
}
