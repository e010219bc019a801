using System.Collections.Immutable;
using System.Numerics;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>A set of pages of a machine's memory: one bit a page, slot by slot in the order of guest addresses. One thread uses it at a time.</summary>
internal sealed class PageSet
{
    private const int BitsPerWord = 64;

    private readonly ImmutableArray<MemoryRegion> _regions;
    private readonly ulong[][] _words;

    public PageSet(ImmutableArray<MemoryRegion> regions)
    {
        _regions = regions;
        _words = [.. regions.Select(region => new ulong[WordsOf(region)])];
    }

    /// <summary>How many pages are in it.</summary>
    public long Count
    {
        get
        {
            var count = 0L;
            foreach (var words in _words)
            {
                foreach (var word in words)
                    count += BitOperations.PopCount(word);
            }

            return count;
        }
    }

    /// <summary>How many words of 64 pages a slot has.</summary>
    public static int WordsOf(MemoryRegion region) => checked((int)((PagesOf(region) + BitsPerWord - 1) / BitsPerWord));

    public static long PagesOf(MemoryRegion region) => (long)(region.SizeBytes / MemoryRegion.PageBytes);

    /// <summary>The bits of one slot.</summary>
    public Span<ulong> Of(int region) => _words[region];

    public void AddAll()
    {
        for (var i = 0; i < _words.Length; i++)
        {
            Array.Fill(_words[i], ulong.MaxValue);
            var beyond = (int)(PagesOf(_regions[i]) % BitsPerWord);
            if (beyond != 0)
                _words[i][^1] = (1UL << beyond) - 1;
        }
    }

    /// <summary>Adds pages of one slot.</summary>
    public void Add(int region, ReadOnlySpan<ulong> words)
    {
        var first = words.IndexOfAnyExcept(0UL);
        if (first < 0)
            return;
        words = words[first..(words.LastIndexOfAnyExcept(0UL) + 1)];
        Unite(_words[region].AsSpan(first, words.Length), words);
    }

    public void UnionWith(PageSet other)
    {
        for (var i = 0; i < _words.Length; i++)
            Add(i, other._words[i]);
    }

    public void Clear()
    {
        foreach (var words in _words)
            Array.Clear(words);
    }

    /// <summary>The next pages of a slot that follow each other and are in the set.</summary>
    /// <param name="region">The slot.</param>
    /// <param name="page">Where to begin looking; afterwards the first page of the run.</param>
    /// <param name="count">How many pages the run has.</param>
    /// <returns>False where there are none any more.</returns>
    public bool TryNextRun(int region, ref long page, out long count)
    {
        var words = _words[region];
        count = 0;
        var start = Find(words, page, isSet: true);
        if (start < 0)
            return false;
        var end = Find(words, start, isSet: false);
        page = start;
        count = (end < 0 ? PagesOf(_regions[region]) : end) - start;
        return true;
    }

    // Of a guest at rest nearly all words are zero, and the pause goes through all of them.
    private static void Unite(Span<ulong> to, ReadOnlySpan<ulong> from)
    {
        var word = 0;
        for (; word <= from.Length - Vector<ulong>.Count; word += Vector<ulong>.Count)
            (new Vector<ulong>(to[word..]) | new Vector<ulong>(from[word..])).CopyTo(to[word..]);
        for (; word < from.Length; word++)
            to[word] |= from[word];
    }

    private static long Find(ulong[] words, long from, bool isSet)
    {
        var word = (int)(from / BitsPerWord);
        if (word >= words.Length)
            return -1;
        var bits = (isSet ? words[word] : ~words[word]) & (ulong.MaxValue << (int)(from % BitsPerWord));
        if (bits == 0)
        {
            var others = words.AsSpan(++word).IndexOfAnyExcept(isSet ? 0UL : ulong.MaxValue);
            if (others < 0)
                return -1;
            word += others;
            bits = isSet ? words[word] : ~words[word];
        }

        return ((long)word * BitsPerWord) + BitOperations.TrailingZeroCount(bits);
    }
}
