using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>Why an access to memory did not happen.</summary>
internal enum GuestAccess : byte
{
    Done,
    Fault,

    /// <summary>There is no slot behind the address.</summary>
    NoSlot,
}

/// <summary>
/// A vCPU's view of memory: through its page tables, with a cache of translations that every KVM_RUN begins without.
/// </summary>
internal sealed class GuestView(SimulatedSlots slots, IPageWalk walk)
{
    private const int PageShift = 12;
    private const ulong PageMask = 0xfff;
    private const int CachedPages = 256;
    private const int WordsPerPage = 512;

    private readonly Translation[] _cache = new Translation[CachedPages];

    /// <summary>The guest physical address of the last access that gave <see cref="GuestAccess.NoSlot"/>.</summary>
    public ulong PhysicalAddress { get; private set; }

    public void Flush() => Array.Clear(_cache);

    public GuestAccess Load(ulong address, int size, out ulong value)
    {
        ref var page = ref _cache[(int)(address >> PageShift) & (CachedPages - 1)];
        if (page.ReadTag == (address >> PageShift) + 1 && (address & 7) == 0)
        {
            value = page.Words[page.FirstWord + (int)((address & PageMask) >> 3)];
            value &= ulong.MaxValue >> (64 - (8 * size));
            return GuestAccess.Done;
        }

        return LoadSlowly(address, size, out value);
    }

    public GuestAccess Store(ulong address, int size, ulong value)
    {
        ref var page = ref _cache[(int)(address >> PageShift) & (CachedPages - 1)];
        if (page.WriteTag == (address >> PageShift) + 1 && (address & 7) == 0 && size == 8)
        {
            AboutToWrite(page);
            page.Words[page.FirstWord + (int)((address & PageMask) >> 3)] = value;
            page.Slot.MarkWritten(page.PageInSlot);
            return GuestAccess.Done;
        }

        return StoreSlowly(address, size, value);
    }

    /// <summary>Exchanges an aligned word, in one piece between all vCPUs.</summary>
    public GuestAccess Exchange(ulong address, ref ulong value)
    {
        var access = Find(address, isWrite: true, isUser: true, out var page);
        if (access != GuestAccess.Done)
            return access;
        AboutToWrite(page);
        value = Interlocked.Exchange(ref page.Words[page.FirstWord + (int)((address & PageMask) >> 3)], value);
        page.Slot.MarkWritten(page.PageInSlot);
        return GuestAccess.Done;
    }

    /// <summary>Bytes for the decoder: as many as there are, up to the length of the span.</summary>
    public int Fetch(ulong address, Span<byte> bytes)
    {
        for (var i = 0; i < bytes.Length; i++)
        {
            if (!TryReadByte(address + (ulong)i, isUser: true, out bytes[i]))
                return i;
        }

        return bytes.Length;
    }

    /// <summary>One byte, also as the processor reads its own tables.</summary>
    public bool TryReadByte(ulong address, bool isUser, out byte value)
    {
        value = 0;
        if (Find(address, isWrite: false, isUser, out var page) != GuestAccess.Done)
            return false;
        var word = page.Words[page.FirstWord + (int)((address & PageMask) >> 3)];
        value = (byte)(word >> (int)(8 * (address & 7)));
        return true;
    }

    private GuestAccess LoadSlowly(ulong address, int size, out ulong value)
    {
        value = 0;
        var access = Probe(address, size, isWrite: false, out var first);
        if (access != GuestAccess.Done)
            return access;
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        for (var i = 0; i < size; i++)
        {
            // Byte by byte only across words, which no guest here does.
            if (!TryReadByte(address + (ulong)i, isUser: true, out bytes[i]))
                return GuestAccess.Fault;
        }

        value = (address & 7) == 0 && size == 8
            ? first.Words[first.FirstWord + (int)((address & PageMask) >> 3)]
            : MemoryMarshal.Read<ulong>(bytes);
        return GuestAccess.Done;
    }

    private GuestAccess StoreSlowly(ulong address, int size, ulong value)
    {
        var access = Probe(address, size, isWrite: true, out var page);
        if (access != GuestAccess.Done)
            return access;
        if ((address & 7) == 0 && size == 8)
        {
            AboutToWrite(page);
            page.Words[page.FirstWord + (int)((address & PageMask) >> 3)] = value;
            page.Slot.MarkWritten(page.PageInSlot);
            return GuestAccess.Done;
        }

        for (var i = 0; i < size; i++)
        {
            Find(address + (ulong)i, isWrite: true, isUser: true, out page);
            AboutToWrite(page);
            page.Slot.From(((ulong)page.PageInSlot << PageShift) + ((address + (ulong)i) & PageMask), 1)[0] = (byte)(value >> (8 * i));
            page.Slot.MarkWritten(page.PageInSlot);
        }

        return GuestAccess.Done;
    }

    // Both ends before the first byte is moved: an access happens as a whole or not at all.
    private GuestAccess Probe(ulong address, int size, bool isWrite, out Translation first)
    {
        var access = Find(address, isWrite, isUser: true, out first);
        if (access != GuestAccess.Done || ((address + (ulong)size - 1) >> PageShift) == address >> PageShift)
            return access;
        var last = Find(address + (ulong)size - 1, isWrite, isUser: true, out _);
        return last == GuestAccess.NoSlot ? GuestAccess.Fault : last;
    }

    private GuestAccess Find(ulong address, bool isWrite, bool isUser, out Translation found)
    {
        ref var cached = ref _cache[(int)(address >> PageShift) & (CachedPages - 1)];
        var tag = (address >> PageShift) + 1;
        if (isUser && (isWrite ? cached.WriteTag : cached.ReadTag) == tag)
        {
            found = cached;
            return GuestAccess.Done;
        }

        found = default;
        if (!walk.TryWalk(slots, address, isUser, out var physical, out var isWritable) || (isWrite && !isWritable))
            return GuestAccess.Fault;
        PhysicalAddress = physical;
        if (slots.At(physical) is not { } slot || (isWrite && slot.IsReadOnly))
            return GuestAccess.NoSlot;
        slot.Demand(physical - slot.Region.GuestAddress);
        var page = (int)((physical - slot.Region.GuestAddress) >> PageShift);
        found = new Translation
        {
            ReadTag = tag,
            WriteTag = isWritable && !slot.IsReadOnly ? tag : 0,
            Slot = slot,
            Words = slot.Words,
            FirstWord = page * WordsPerPage,
            PageInSlot = page,
        };
        if (isUser)
            cached = found;
        return GuestAccess.Done;
    }

    private static void AboutToWrite(in Translation page) => page.Slot.AboutToWrite?.Invoke((ulong)page.PageInSlot << PageShift);

    private struct Translation
    {
        /// <summary>The page's number and one; 0 for none.</summary>
        public ulong ReadTag;
        public ulong WriteTag;
        public SimulatedSlot Slot;
        public ulong[] Words;
        public int FirstWord;
        public int PageInSlot;
    }
}
