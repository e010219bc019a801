using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Actors;

/// <summary>How a restored machine's memory comes in.</summary>
public enum MemoryFill
{
    /// <summary>Lazily where the machine's memory can and the segments are made for it, otherwise eagerly.</summary>
    Auto,

    /// <summary>While the guest runs: what is touched first, the rest in the background. Every page is checked before anybody sees it.</summary>
    Lazy,

    /// <summary>All of it before the guest runs.</summary>
    Eager,
}

/// <summary>How far memory that is filled has come.</summary>
/// <param name="DoneBytes">What is there.</param>
/// <param name="TotalBytes">All that is to come; zeros are not counted.</param>
public readonly record struct FillProgress(long DoneBytes, long TotalBytes);

/// <summary>How a checkpoint is to be brought back.</summary>
public sealed record RestoreOptions
{
    /// <summary>What is asked of each register.</summary>
    public RegisterPolicy Policy { get; init; } = RegisterPolicy.Strict;

    /// <summary>What the guest's clock does with the time since the checkpoint.</summary>
    public ClockPolicy Clock { get; init; } = ClockPolicy.Freeze;

    /// <summary>How registers with ids are to travel; null for the best way that the kernel has.</summary>
    public RegisterBatching? Batching { get; init; }

    /// <summary>How memory comes in; <see cref="RestoredMachine.Fill"/> says what became of <see cref="MemoryFill.Auto"/>.</summary>
    public MemoryFill Fill { get; init; }

    /// <summary>Told how far an eager fill is, from several threads. A lazy one is asked by <see cref="RestoredMachine.Filling"/>.</summary>
    public IProgress<FillProgress>? Progress { get; init; }
}
