namespace Checkpoint.Protocol.Faults;

/// <summary>When a rule's fault is injected.</summary>
/// <param name="Call">The name of a call, or the beginning of names with <c>*</c> behind it.</param>
/// <param name="Vcpu">On this vCPU alone; null: whoever makes the call.</param>
/// <param name="First">From which of these calls on, from 1, counted from the making of the rule; null: each may be hit.</param>
/// <param name="Times">How many calls from the first on; null: all of them.</param>
/// <param name="Probability">How likely each of these calls is hit, drawn from the seed.</param>
/// <param name="Phase">Only while <see cref="FaultPlan.PhaseSource"/> says this; null: whenever.</param>
/// <param name="Condition">Only at calls for which this is so, see <see cref="FaultTrigger.When"/>; null: at all.</param>
public sealed record FaultWhen(
    string Call,
    int? Vcpu = null,
    long? First = null,
    long? Times = null,
    double Probability = 1,
    string? Phase = null,
    Func<FaultSite, bool>? Condition = null);

/// <summary>Where in a file of faults a rule stands, for whoever refuses it later than the file's reader does.</summary>
/// <param name="Call">The line and the column in bytes, both from 1, of the name of its call.</param>
/// <param name="Vcpu">Those of its vCPU; those of its call where it names none.</param>
public sealed record FaultPlaces((int Line, int Column) Call, (int Line, int Column) Vcpu);

/// <summary>One thing that goes wrong, and when.</summary>
public sealed class FaultRule
{
    private readonly Dictionary<string, long> _seenBy = new(StringComparer.Ordinal);
    private long _seen;
    private long _hits;

    internal FaultRule(int index, FaultWhen when, FaultAction action, IReadOnlyList<string> calls)
    {
        Index = index;
        When = when;
        Action = action;
        Calls = calls;
    }

    /// <summary>Its place among the plan's rules.</summary>
    public int Index { get; }

    /// <summary>When.</summary>
    public FaultWhen When { get; }

    /// <summary>What goes wrong.</summary>
    public FaultAction Action { get; }

    /// <summary>Where in a file its call and its vCPU stand; null for a rule that was made in code.</summary>
    public FaultPlaces? Places { get; internal set; }

    /// <summary>How often it was injected.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>The names of the calls that it is about: those that are meant and at which its action can happen.</summary>
    public IReadOnlyList<string> Calls { get; }

    /// <summary>Whether none of the calls to come can be hit.</summary>
    internal bool IsSpent => When.Times is { } times && _seen >= (When.First ?? 1) + times - 1;

    /// <summary>Whether the rule is about this one of its calls. Every such call is counted, hit or not.</summary>
    internal bool Counts(in FaultSite site, string? phase, out long number, out long numberOfParticipant)
    {
        number = numberOfParticipant = 0;
        if ((When.Vcpu is { } vcpu && site.Vcpu != vcpu) || (When.Phase is { } wanted && phase != wanted) || When.Condition?.Invoke(site) == false)
            return false;
        number = ++_seen;
        numberOfParticipant = _seenBy[site.Participant] = _seenBy.GetValueOrDefault(site.Participant) + 1;
        return true;
    }

    internal bool IsDue(long number)
    {
        var first = When.First ?? 1;
        return number >= first && (When.Times is not { } times || number < first + times);
    }

    internal void Hit() => Interlocked.Increment(ref _hits);
}
