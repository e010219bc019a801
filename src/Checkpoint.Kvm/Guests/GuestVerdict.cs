namespace Checkpoint.Kvm.Guests;

/// <summary>What verification found at one moment.</summary>
/// <param name="Steps">The completed steps of each vCPU.</param>
/// <param name="TokenHops">The hops of each token of the ledger, by token number; empty for the counter.</param>
/// <param name="Failures">One sentence for each thing that is not as it must be: which vCPU, what, expected, found.</param>
public sealed record GuestVerdict(
    IReadOnlyList<ulong> Steps,
    IReadOnlyList<ulong> TokenHops,
    IReadOnlyList<string> Failures)
{
    /// <summary>Whether registers, memory and device agree as of one moment.</summary>
    public bool Ok => Failures.Count == 0;

    /// <summary>The hops of all tokens together; 0 for the counter.</summary>
    public ulong Hops => TokenHops.Aggregate(0UL, (sum, hops) => sum + hops);

    /// <summary>
    /// Takes this for a later moment of the guest seen in <paramref name="checkpoint"/> and says why it cannot be one:
    /// an empty list means that every vCPU has gone on. A vCPU that the host has not scheduled yet is named too, so the
    /// caller gives the guest time, or asks again.
    /// </summary>
    public IReadOnlyList<string> FailuresSince(GuestVerdict checkpoint)
    {
        List<string> failures = [.. checkpoint.Failures.Select(f => "at the checkpoint: " + f), .. Failures];
        if (Steps.Count != checkpoint.Steps.Count || TokenHops.Count != checkpoint.TokenHops.Count)
        {
            failures.Add("the two moments are of different guests");
            return failures;
        }

        for (var vcpu = 0; vcpu < Steps.Count; vcpu++)
        {
            if (Steps[vcpu] <= checkpoint.Steps[vcpu])
            {
                failures.Add($"vCPU {vcpu}: steps expected above {checkpoint.Steps[vcpu]}, found {Steps[vcpu]}");
            }
        }

        for (var token = 0; token < TokenHops.Count; token++)
        {
            if (TokenHops[token] < checkpoint.TokenHops[token])
            {
                failures.Add(
                    $"token {token + 1}: hops expected at least {checkpoint.TokenHops[token]}, found {TokenHops[token]}");
            }
        }

        if (TokenHops.Count > 0 && Hops <= checkpoint.Hops)
        {
            failures.Add($"hops of all tokens expected above {checkpoint.Hops}, found {Hops}");
        }

        return failures;
    }
}
