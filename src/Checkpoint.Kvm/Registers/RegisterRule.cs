namespace Checkpoint.Kvm.Registers;

/// <summary>What a restore asks of a register.</summary>
public enum RegisterAction
{
    /// <summary>The checkpoint and the machine both have it, with the same value. What no rule names is required.</summary>
    Require,

    /// <summary>What the checkpoint holds is on the machine, with the same value; one that only the machine has is let be.</summary>
    Compare,

    /// <summary>The same value where both have it; either may lack it.</summary>
    MayBeMissing,

    /// <summary>
    /// Neither its presence nor its value matters, nor whether it could be set, which is tried all the same. With bits it must be there
    /// and be taken, and only those bits may differ.
    /// </summary>
    Ignore,
}

/// <summary>One rule of a <see cref="RegisterPolicy"/>.</summary>
/// <param name="Register">A register's or group's name, or a pattern in which <c>*</c> stands for any characters; written as a refusal shows it, <c>TCR_EL1</c>, <c>rip</c>.</param>
/// <param name="Action">What is asked of it.</param>
/// <param name="Why">The reason, one sentence; for people.</param>
/// <param name="Bits">With <see cref="RegisterAction.Ignore"/>: the bits that may differ, counted in the little-endian value; 0 for all.</param>
public sealed record RegisterRule(string Register, RegisterAction Action, string Why, ulong Bits = 0)
{
    /// <summary>Whether the rule is about a register.</summary>
    /// <param name="name">The register's name.</param>
    public bool Matches(string name)
    {
        // Greedy matching with one point to return to: on a mismatch the last star takes one more character.
        var (pattern, at, star, resume) = (0, 0, -1, 0);
        while (at < name.Length)
        {
            if (pattern < Register.Length && Register[pattern] == '*')
            {
                (star, resume) = (pattern++, at);
            }
            else if (pattern < Register.Length && Register[pattern] == name[at])
            {
                pattern++;
                at++;
            }
            else if (star >= 0)
            {
                (pattern, at) = (star + 1, ++resume);
            }
            else
            {
                return false;
            }
        }

        while (pattern < Register.Length && Register[pattern] == '*')
            pattern++;
        return pattern == Register.Length;
    }
}
