using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>The shape of one guest. A guest restored from a checkpoint is verified with the options it was made with.</summary>
public sealed record GuestOptions
{
    /// <summary>The size of guest memory unless said otherwise: 8 MiB.</summary>
    public const ulong DefaultMemoryBytes = 8UL << 20;

    /// <summary>The most vCPUs a guest is laid out for.</summary>
    public const int MaxVcpus = 64;

    /// <summary>Which processor the guest's code is for.</summary>
    public MachineArchitecture Architecture { get; init; } = MachineArchitecture.X64;

    /// <summary>How many vCPUs there are: 1 to 64.</summary>
    public required int Vcpus { get; init; }

    /// <summary>The size of guest memory, from guest physical address 0, in whole pages of 4096 bytes.</summary>
    public ulong MemoryBytes { get; init; } = DefaultMemoryBytes;

    /// <summary>Where every starting value comes from. The same seed gives the same guest.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// Whether the guest carries n in all 256 bits of ymm15. It needs AVX2 in the guest's CPUID and XCR0 = 7; without
    /// it, n is in xmm15 and SSE2 is enough. On arm64 it means nothing.
    /// </summary>
    public bool UseYmm { get; init; }

    /// <summary>
    /// Whether the timer guest carries n in zmm15, zmm31 and k1 and fills all other vectors and masks. It needs AVX512F and
    /// AVX512BW and XCR0 = 0xe7, and goes with <see cref="UseYmm"/>.
    /// </summary>
    public bool UseZmm { get; init; }

    /// <summary>Whether the odd vCPUs of the timer guest arm their timers by IA32_TSC_DEADLINE instead of a count.</summary>
    public bool UseTscDeadline { get; init; }

    /// <summary>
    /// Steps between two reads of the sequence device, a power of two; null for the guest's own choice. The timer guest reads it
    /// at every tick instead.
    /// </summary>
    public ulong? ExitEverySteps { get; init; }

    /// <summary>
    /// Steps of the counter and of the timer guest between two page writes, a power of two not above <see cref="ExitEverySteps"/>; null for
    /// the guest's own choice.
    /// </summary>
    public ulong? WriteEverySteps { get; init; }

    /// <summary>
    /// How many pages each vCPU of the counter or the timer guest writes in turn; null for 256, or fewer if memory has less room. Of the
    /// ledger, how many pages its slots lie in, a power of two from 16 on, so that its vCPUs write all of them at random, with a
    /// token for every four pages but at most 511; null for 16.
    /// </summary>
    public int? WorkingPages { get; init; }
}
