namespace Checkpoint.Protocol.Events;

/// <summary>How a guest's memory was taken. The numbers are stored and never reused.</summary>
public enum MemoryWay
{
    /// <summary>All of it in the pause: nobody knows what the host writes.</summary>
    Paused = 1,

    /// <summary>Copied while the guest ran; the pause copied what was left.</summary>
    Precopied = 2,

    /// <summary>Protected against writes in the pause and copied after it: a write waits until what it would change is copied.</summary>
    Protected = 3,
}

/// <summary>What it took to take a guest's memory.</summary>
/// <param name="Way">How it was taken.</param>
/// <param name="Rounds">Rounds of copying while the guest ran, before the pause.</param>
/// <param name="PagesLeft">Pages that were left for the pause to copy, or to protect.</param>
/// <param name="PrepareUs">From the beginning of the first round until the pause could begin, in microseconds; waiting for room in the buffer is part of it.</param>
/// <param name="CaptureUs">What the memory took of the pause, in microseconds.</param>
public sealed record MemoryTaking(MemoryWay Way, int Rounds, long PagesLeft, long PrepareUs, long CaptureUs)
{
    /// <summary>How long the whole pause was to be at most, in microseconds; null where it might last as long as it took.</summary>
    public long? MaxPauseUs { get; init; }
}
