using System.Collections.Immutable;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// What a restore asks of each register: rules in order, of which the first that matches counts. A register that no rule names
/// must be there and be equal.
/// </summary>
/// <param name="Name">The policy's name, which the journal keeps with each restore.</param>
/// <param name="Rules">The rules, the first that matches counts.</param>
public sealed record RegisterPolicy(string Name, ImmutableArray<RegisterRule> Rules)
{
    private static readonly RegisterRule s_default = new("*", RegisterAction.Require, "No rule names it.");

    /// <summary>
    /// Everything is required but what goes on counting, or holds the host's time, so that a value read back right after the
    /// restore legitimately differs. config/register-policy.json holds the same rules.
    /// </summary>
    public static RegisterPolicy Strict { get; } = new(
        "strict",
        [
            Ignore("IA32_TSC", "Counts on between the set and the read.", ulong.MaxValue),
            Ignore("TSC_OFFSET", "Is measured on the host's TSC, and hosts differ in it."),
            Ignore("IA32_MPERF", "Counts cycles of the host's processor."),
            Ignore("IA32_APERF", "Counts cycles of the host's processor."),
            Ignore("lapic.tmcct", "Counts down from lapic.tmict.", ulong.MaxValue),
            Ignore("lapic.ppr", "Is made from lapic.tpr and lapic.isr, and brought up to date by the set; what was read may be older.", ulong.MaxValue),
            Ignore("clock", "The guest's clock goes on.", ulong.MaxValue),
            Ignore("clock.flags", "Says how the clock was read, not what it is.", ulong.MaxValue),
            Ignore("clock.realtime", "The host's time of the read.", ulong.MaxValue),
            Ignore("clock.host_tsc", "The host's TSC of the read.", ulong.MaxValue),
            Ignore("pit*.count_load_time", "The host's time of the set."),
            Ignore("HV_X64_TIME_REF_COUNT", "Counts on."),
            Ignore("HV_X64_VP_RUNTIME", "Counts on."),
            Ignore("CNTVCT_EL0", "The virtual counter goes on.", ulong.MaxValue),
            Ignore("CNTPCT_EL0", "The physical counter goes on.", ulong.MaxValue),
            new("ARM_COUNTER_HZ", RegisterAction.Compare, "Checkpoints of older versions do not hold it."),
            Ignore("CNTV_CTL_EL0", "ISTATUS says whether the counter has passed the compare value, and the counter goes on.", 1 << 2),
            Ignore("CNTP_CTL_EL0", "ISTATUS says whether the counter has passed the compare value, and the counter goes on.", 1 << 2),
        ]);

    /// <summary>The rule for a register.</summary>
    /// <param name="register">Its name.</param>
    /// <param name="group">The name of the state item that it is part of; the same name where it is one by itself.</param>
    public RegisterRule RuleFor(string register, string group)
    {
        foreach (var rule in Rules)
        {
            if (rule.Matches(register) || rule.Matches(group))
                return rule;
        }

        return s_default;
    }

    private static RegisterRule Ignore(string register, string why, ulong bits = 0) => new(register, RegisterAction.Ignore, why, bits);
}
