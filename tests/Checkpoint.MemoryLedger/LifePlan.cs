using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;

namespace Checkpoint.MemoryLedger;

/// <summary>What one machine is like and how it is checkpointed: everything in turn, so that a few dozen have every combination.</summary>
/// <param name="Number">Which machine, from 0.</param>
/// <param name="Seed">Where its numbers come from.</param>
/// <param name="IsSimulated">Whether the kernel is simulated.</param>
/// <param name="Guest">The guest.</param>
/// <param name="Mode">What its checkpoints hold.</param>
/// <param name="Compress">Whether they are compressed.</param>
internal sealed record LifePlan(int Number, int Seed, bool IsSimulated, GuestOptions Guest, CheckpointMode Mode, bool Compress)
{
    private const int MostVcpus = 8;
    private const int OneSimulatedIn = 5;
    private const ulong SimulatedExitEverySteps = 1UL << 8;

    /// <summary>The plan of a machine.</summary>
    /// <param name="number">Which, from 0.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="machines"><c>kvm</c>, <c>sim</c> or <c>both</c>.</param>
    public static LifePlan Of(int number, int seed, string machines)
    {
        // Pages that the ledger's slots lie in, and all memory: nearly all of it, half of it, and little of it.
        var (workingPages, memoryBytes) = (number % 3) switch
        {
            0 => (2048, 9UL << 20),
            1 => (1024, 8UL << 20),
            _ => (64, 8UL << 20),
        };
        var isSimulated = machines == "sim" || (machines == "both" && number % OneSimulatedIn == OneSimulatedIn - 1);
        var own = unchecked((seed * 1_000_003) + number) & int.MaxValue;
        return new LifePlan(
            number,
            own,
            isSimulated,
            new GuestOptions
            {
                Vcpus = (number % MostVcpus) + 1,
                MemoryBytes = memoryBytes,
                WorkingPages = workingPages,
                Seed = (ulong)own,
                ExitEverySteps = isSimulated ? SimulatedExitEverySteps : null,
            },
            (number / MostVcpus) % 2 == 0 ? CheckpointMode.Incremental : CheckpointMode.Full,
            // Mode and compression change at different times, whatever the number of vCPUs is.
            ((number / (2 * MostVcpus)) + number) % 2 == 0);
    }

    public override string ToString() =>
        $"machine {Number} ({(IsSimulated ? "simulated" : "KVM")}, {Guest.Vcpus} vCPUs, {Guest.MemoryBytes >> 20} MiB of which the guest writes {Guest.WorkingPages} pages, "
        + $"{(Mode == CheckpointMode.Full ? "full" : "incremental")}, {(Compress ? "compressed" : "plain")}, seed {Seed})";
}
