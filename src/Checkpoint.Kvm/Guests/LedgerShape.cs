using System.Numerics;

namespace Checkpoint.Kvm.Guests;

/// <summary>What the ledger of every architecture is laid out by.</summary>
/// <param name="ExitEvery">Steps between two reads of the sequence device, a power of two.</param>
/// <param name="Pages">How many pages the slots lie in, a power of two.</param>
/// <param name="SlotCount">How many slots the vCPUs share, a power of two.</param>
/// <param name="TokenCount">How many tokens go round.</param>
internal sealed record LedgerShape(ulong ExitEvery, int Pages, int SlotCount, int TokenCount)
{
    private const ulong DefaultExitEverySteps = 1UL << 14;
    private const int LeastPages = 16; // Copied one after another, which a torn copy must not survive.
    private const int MostPages = 1 << 20; // A slot is chosen by 32 bits of a random number.
    private const int SlotsPerVcpu = 8;
    private const int TokensPerVcpu = 4;
    private const int FurtherTokens = 3;
    private const int PagesPerToken = 4;
    private const int CacheLineShift = 6; // A slot has a cache line to itself.
    private const int PageShift = 12;

    /// <summary>How much memory the slots lie in.</summary>
    public ulong SharedBytes => (ulong)Pages << PageShift;

    /// <summary>The last slot has every bit that a slot's offset can have.</summary>
    public ulong SlotMask => SlotOffset(SlotCount - 1);

    /// <summary>The shape of a ledger, from its options.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It can't have this shape.</exception>
    public static LedgerShape Of(GuestProgram program)
    {
        var options = program.Options;
        var exitEvery = StepFunction.Interval(options.ExitEverySteps ?? DefaultExitEverySteps, nameof(options.ExitEverySteps));
        var pages = options.WorkingPages ?? LeastPages;
        if (pages is < LeastPages or > MostPages || !BitOperations.IsPow2(pages))
            throw new ArgumentOutOfRangeException(nameof(program), pages, $"The ledger's slots lie in {LeastPages} to {MostPages} pages, a power of two.");
        var tokens = (TokensPerVcpu * options.Vcpus) + FurtherTokens;
        var shape = new LedgerShape(
            exitEvery,
            pages,
            Math.Max(pages, (int)BitOperations.RoundUpToPowerOf2((uint)(SlotsPerVcpu * options.Vcpus))),
            Math.Max(tokens, Math.Min(pages / PagesPerToken, LedgerToken.Most)));
        program.RequireMemory(program.FirstFreePage + shape.SharedBytes);
        return shape;
    }

    /// <summary>Where a slot lies behind the first page of the slots; neighbouring slots are on different pages.</summary>
    public ulong SlotOffset(int slot) =>
        ((ulong)(slot % Pages) << PageShift) + ((ulong)(slot / Pages) << CacheLineShift);

    /// <summary>Puts each token into a slot of its own.</summary>
    public void LoadTokens(ulong seed, ulong firstPage, Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var number = 1; number <= TokenCount; number++)
        {
            write(firstPage + SlotOffset(number - 1), BitConverter.GetBytes(LedgerToken.Identity(seed, number)));
        }
    }

    /// <summary>Counts the tokens in the slots.</summary>
    public void CountSlots(LedgerCensus census, ReadGuestMemory read, ulong firstPage)
    {
        for (var slot = 0; slot < SlotCount; slot++)
        {
            var address = firstPage + SlotOffset(slot);
            census.Count(GuestProgram.Word(read, address), $"slot {slot} at 0x{address:x}");
        }
    }
}
