using System.Globalization;

namespace Checkpoint.Protocol.Faults;

/// <summary>A call at which a fault may be injected.</summary>
/// <param name="Call">Its name, one of <see cref="FaultCalls"/>.</param>
/// <param name="Participant">Whose call it is: <c>vcpu 2</c>, <c>vm</c>, <c>journal</c>.</param>
/// <param name="Vcpu">The index of the vCPU it is made on.</param>
public readonly record struct FaultSite(string Call, string Participant, int? Vcpu = null)
{
    /// <summary>The machine that the call is about, as the decorator was told or the store knows; null: nobody said.</summary>
    public string? Machine { get; init; }

    /// <summary>The path of the file or folder that the call is about; null: it is about none.</summary>
    public string? Path { get; init; }

    /// <summary>A call on a vCPU.</summary>
    public static FaultSite OnVcpu(string call, int vcpu) => new(call, string.Create(CultureInfo.InvariantCulture, $"vcpu {vcpu}"), vcpu);
}

/// <summary>A fault that was injected.</summary>
/// <param name="Rule">The rule that said so.</param>
/// <param name="Site">The call.</param>
/// <param name="Number">Which of the calls that the rule is about, from 1.</param>
/// <param name="Phase">What <see cref="FaultPlan.PhaseSource"/> said at the time; null where there is none.</param>
/// <param name="Draw">A number drawn from the seed for this hit: what an action leaves open is decided by it.</param>
public sealed record FaultHit(FaultRule Rule, FaultSite Site, long Number, string? Phase, ulong Draw)
{
    /// <summary>What goes wrong.</summary>
    public FaultAction Action => Rule.Action;

    /// <summary>One line for a person.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Site.Call} on {Site.Participant}, call {Number}, {Action.Describe()}");
}

/// <summary>How often something went wrong.</summary>
/// <param name="Kind">The action's kind.</param>
/// <param name="Call">The call.</param>
/// <param name="Participant">Whose call.</param>
/// <param name="Phase">In which phase; null where nobody said.</param>
/// <param name="Count">How often.</param>
public sealed record FaultCount(string Kind, string Call, string Participant, string? Phase, long Count);
