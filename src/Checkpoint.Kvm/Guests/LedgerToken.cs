namespace Checkpoint.Kvm.Guests;

/// <summary>A token of the ledger as it lies in a slot or a register: hops in the high 48 bits, identity in the low 16.</summary>
internal static class LedgerToken
{
    public const int HopShift = 16;

    /// <summary>Numbers go up to this.</summary>
    public const int Most = (1 << NumberBits) - 1;

    private const int NumberBits = 9;

    /// <summary>
    /// Number 1 and up in the low bits, so that an identity is never 0, and seven bits that depend on the seed, so that
    /// a token of another guest, or a damaged one, is not taken for one of this guest's.
    /// </summary>
    public static ulong Identity(ulong seed, int number) =>
        (StepFunction.Guest.Start(~seed, number) >> (64 - HopShift) >> NumberBits << NumberBits) | (uint)number;

    /// <summary>The number of the token, from 1, or 0 if the value is no token of this guest.</summary>
    public static int Number(ulong seed, int tokens, ulong value)
    {
        var number = (int)(value & ((1UL << NumberBits) - 1));
        var identity = value & ((1UL << HopShift) - 1);
        return number >= 1 && number <= tokens && identity == Identity(seed, number) ? number : 0;
    }

    public static ulong Hops(ulong value) => value >> HopShift;
}
