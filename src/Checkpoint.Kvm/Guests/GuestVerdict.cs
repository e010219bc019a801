namespace Checkpoint.Kvm.Guests;

/// <summary>What verification found at one moment.</summary>
/// <param name="Steps">The completed steps of each vCPU.</param>
/// <param name="TokenHops">The hops of each token of the ledger, by token number; empty for guests without tokens.</param>
/// <param name="Failures">One sentence for each thing that is not as it must be: which vCPU, what, expected, found.</param>
public sealed record GuestVerdict(
    IReadOnlyList<ulong> Steps,
    IReadOnlyList<ulong> TokenHops,
    IReadOnlyList<string> Failures)
{
    /// <summary>The ticks that each vCPU of the timer guest has counted; empty for the others.</summary>
    public IReadOnlyList<ulong> Ticks { get; init; } = [];

    /// <summary>Of a guest that cannot be looked at.</summary>
    /// <param name="reason">Why not.</param>
    public static GuestVerdict Unknown(string reason) => new([], [], [reason]);

    /// <summary>Whether registers, memory and device agree as of one moment.</summary>
    public bool Ok => Failures.Count == 0;

    /// <summary>The hops of all tokens together; 0 for guests without tokens.</summary>
    public ulong Hops => TokenHops.Aggregate(0UL, (sum, hops) => sum + hops);

    /// <summary>The ticks of all vCPUs together; 0 for guests without timers.</summary>
    public ulong AllTicks => Ticks.Aggregate(0UL, (sum, ticks) => sum + ticks);

    /// <summary>
    /// Takes this for a later moment of the guest seen in <paramref name="checkpoint"/> and says why it cannot be one:
    /// an empty list means that every vCPU has gone on. A vCPU that the host has not scheduled yet is named too, so the
    /// caller gives the guest time, or asks again.
    /// </summary>
    public IReadOnlyList<string> FailuresSince(GuestVerdict checkpoint)
    {
        List<string> failures = [.. checkpoint.Failures.Select(f => "at the checkpoint: " + f), .. Failures];
        if (Steps.Count != checkpoint.Steps.Count || TokenHops.Count != checkpoint.TokenHops.Count || Ticks.Count != checkpoint.Ticks.Count)
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

        for (var vcpu = 0; vcpu < Ticks.Count; vcpu++)
        {
            // A tick arms the next one, so no tick at all means that the timer which was armed has been lost.
            if (Ticks[vcpu] <= checkpoint.Ticks[vcpu])
            {
                failures.Add($"vCPU {vcpu}: ticks expected above {checkpoint.Ticks[vcpu]}, found {Ticks[vcpu]}");
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
