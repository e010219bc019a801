using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// The least that long mode is made of. CR0, CR3, CR4, EFER and CS are checked against each other (Intel SDM volume 3, 11.8.5), so from a
/// vCPU in real mode no way leads there register by register, and on the way a wrong CR3 is taken, because nothing is paged yet.
/// </summary>
internal static class X64LongMode
{
    private const ulong Protected = 1;
    private const ulong Fpu = 1 << 4; // CR0.ET, which is always 1
    private const ulong Paging = 1UL << 31;
    private const ulong Pae = 1 << 5;
    private const ulong LongModeEnabled = 1 << 8;
    private const ulong LongModeActive = 1 << 10;

    // Of five signs.
    private const int Majority = 3;

    /// <summary>A vCPU's struct, put into long mode.</summary>
    /// <param name="fields">The struct's registers.</param>
    /// <param name="had">What the vCPU has.</param>
    /// <param name="wanted">What was to be set.</param>
    /// <returns>Null where the wanted struct is none of long mode, by most of the bits that say so: one of them may be what is wrong.</returns>
    public static byte[]? Of(IReadOnlyList<RegisterField> fields, ReadOnlySpan<byte> had, ReadOnlySpan<byte> wanted)
    {
        if (Find("efer") is not { } efer || Find("cr0") is not { } cr0 || Find("cr3") is not { } cr3 || Find("cr4") is not { } cr4
            || Find("cs.l") is not { } code64 || Find("cs.db") is not { } code32)
        {
            return null;
        }

        // A segment of 32 bits is not one of 64 too.
        ReadOnlySpan<bool> signs =
        [
            (X64GroupFields.Read(wanted, cr0) & Paging) != 0,
            (X64GroupFields.Read(wanted, cr4) & Pae) != 0,
            (X64GroupFields.Read(wanted, efer) & LongModeEnabled) != 0,
            (X64GroupFields.Read(wanted, efer) & LongModeActive) != 0,
            X64GroupFields.Read(wanted, code64) != 0 && X64GroupFields.Read(wanted, code32) == 0,
        ];
        if (signs.Count(true) < Majority)
            return null;
        var value = X64GroupFields.With(had, cr0, Paging | Fpu | Protected);
        value = X64GroupFields.With(value, cr3, 0);
        value = X64GroupFields.With(value, cr4, Pae);
        value = X64GroupFields.With(value, efer, LongModeEnabled | LongModeActive);
        value = X64GroupFields.With(value, code64, 1);
        return X64GroupFields.With(value, code32, 0);

        RegisterField? Find(string name)
        {
            foreach (var field in fields)
            {
                if (field.Name == name)
                    return field;
            }

            return null;
        }
    }
}
