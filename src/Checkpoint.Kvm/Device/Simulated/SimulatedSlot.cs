using System.Runtime.InteropServices;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// The memory behind one slot, as words: an aligned word is read and written in one piece, and Interlocked works on it. The
/// runtime takes large arrays from the operating system as zeros, page by page when they are first touched.
/// </summary>
internal sealed class SimulatedSlot
{
    private const int WordBytes = sizeof(ulong);
    private const int PageShift = 12;
    private const int PagesPerBitmapWord = 64;

    private readonly ulong[] _dirty;

    public SimulatedSlot(MemoryRegion region)
    {
        Region = region;
        Words = new ulong[region.SizeBytes / WordBytes];
        _dirty = new ulong[((region.SizeBytes >> PageShift) + PagesPerBitmapWord - 1) / PagesPerBitmapWord];
    }

    public MemoryRegion Region { get; }

    public ulong[] Words { get; }

    /// <summary>Its coming in while the guest runs; null where all of it was there from the start.</summary>
    public MemoryFilling? Filling { get; set; }

    /// <summary>Whether KVM_MEM_READONLY keeps the guest from writing here.</summary>
    public bool IsReadOnly => (Region.Flags & 2) != 0;

    /// <summary>Called with the offset of a byte that somebody is about to write; null while nobody wants to know.</summary>
    public Action<ulong>? AboutToWrite { get; set; }

    /// <summary>How many words of 64 pages the dirty bitmap has.</summary>
    public int BitmapWords => _dirty.Length;

    public bool Contains(ulong guestAddress) => guestAddress - Region.GuestAddress < Region.SizeBytes;

    /// <summary>The bytes from an offset to the end of the slot, at most 1 GiB of them.</summary>
    public Span<byte> From(ulong offset, int length)
    {
        var skip = (int)(offset % WordBytes);
        var words = (skip + length + WordBytes - 1) / WordBytes;
        return MemoryMarshal.AsBytes(Words.AsSpan((int)(offset / WordBytes), words)).Slice(skip, length);
    }

    /// <summary>Makes sure that the page of an offset is there, before anybody looks at it.</summary>
    /// <exception cref="GuestMemoryException">It cannot be brought in.</exception>
    public void Demand(ulong offset) => Filling?.Demand(Region.GuestAddress + (offset / MemoryRegion.PageBytes * MemoryRegion.PageBytes), MemoryRegion.PageBytes);

    /// <summary>
    /// Notes a write by the guest, after the write: whoever takes the bit away and then copies the page sees either the new
    /// content or the bit again. The fence keeps the look at the bit behind the write.
    /// </summary>
    public void MarkWritten(int page)
    {
        Interlocked.MemoryBarrier();
        ref var word = ref _dirty[page >> 6];
        var bit = 1UL << (page & 63);
        if ((Volatile.Read(ref word) & bit) == 0)
            Interlocked.Or(ref word, bit);
    }

    /// <summary>Begins a log with no page in it, or with all.</summary>
    public void BeginLog(bool isFull)
    {
        Array.Fill(_dirty, isFull ? ulong.MaxValue : 0);
        if (isFull && (Region.SizeBytes >> PageShift) % PagesPerBitmapWord is var rest and > 0)
            _dirty[^1] = (1UL << (int)rest) - 1;
    }

    /// <summary>Takes all bits, word by word.</summary>
    public void TakeDirty(Span<ulong> bitmap)
    {
        for (var i = 0; i < _dirty.Length; i++)
            bitmap[i] = Interlocked.Exchange(ref _dirty[i], 0);
    }

    /// <summary>Copies all bits.</summary>
    public void ReadDirty(Span<ulong> bitmap)
    {
        for (var i = 0; i < _dirty.Length; i++)
            bitmap[i] = Volatile.Read(ref _dirty[i]);
    }

    /// <summary>Takes the bits of one word that are set in a mask.</summary>
    public void ClearDirty(int word, ulong mask) => Interlocked.And(ref _dirty[word], ~mask);
}
