using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// x(n+1) = x(n) * Multiplier + Increment modulo 2^64. Steps compose into a function of the same form, so x(n) is found
/// in O(log n).
/// </summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct StepFunction(ulong Multiplier, ulong Increment)
{
    /// <summary>Checks a step interval: the guest tests it with one AND, so it must be a power of two.</summary>
    public static ulong Interval(ulong steps, string name) =>
        ulong.IsPow2(steps)
            ? steps
            : throw new ArgumentOutOfRangeException(name, steps, "Steps between two events must be a power of two.");

    /// <summary>
    /// The function of both guests. Multiplier = 5 modulo 8 and an odd increment give the full period of 2^64, so a
    /// value of x belongs to one n alone.
    /// </summary>
    public static StepFunction Guest { get; } = new(0xa3ec_647b_59d1_f02d, 0x5851_2c6e_d90b_37f1);

    public ulong Next(ulong x) => (x * Multiplier) + Increment;

    /// <summary>The value <paramref name="steps"/> steps after <paramref name="x"/>.</summary>
    public ulong Jump(ulong x, ulong steps)
    {
        var power = this;
        for (; steps != 0; steps >>= 1)
        {
            if ((steps & 1) != 0)
            {
                x = power.Next(x);
            }

            power = power.Twice();
        }

        return x;
    }

    /// <summary>
    /// A starting value for each of many streams. The distance between two streams is a large odd multiple: at a
    /// distance with many trailing zero bits their low bits would run in step.
    /// </summary>
    public ulong Start(ulong seed, int stream) => Jump(seed, ((ulong)stream + 1) * 0x9d2c_5680_ca6b_3e4f);

    private StepFunction Twice() => new(Multiplier * Multiplier, (Multiplier * Increment) + Increment);
}
