namespace Checkpoint.FaultSoak;

/// <summary>The seeds of lives: the same in every process, which <see cref="HashCode"/> is not.</summary>
internal static class Seeds
{
    /// <summary>The seed of one life.</summary>
    public static int Of(ulong seed, long life)
    {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbours give unrelated numbers.
        var value = seed + ((ulong)life * 0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
        value = (value ^ (value >> 27)) * 0x94d0_49bb_1331_11eb;
        return (int)((value ^ (value >> 31)) & int.MaxValue);
    }
}
