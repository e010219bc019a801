namespace Checkpoint.Bench;

/// <summary>What the guest of bench/guest/writer.S has done since it was asked last.</summary>
/// <param name="Rounds">Rounds of its loop, over all vCPUs.</param>
/// <param name="Writes">Pages written, over all vCPUs.</param>
/// <param name="LongestGapUs">The longest time between two rounds of a vCPU.</param>
internal readonly record struct GuestProgress(double Rounds, long Writes, double LongestGapUs);

/// <summary>The guest of bench/guest/writer.S, held or running, in this process or in that of the C program.</summary>
internal interface IWriterGuest
{
    /// <summary>Lets the vCPUs run.</summary>
    void Go();

    /// <summary>Holds the vCPUs, so that the other guest has the machine for itself.</summary>
    void Hold();

    /// <summary>Says how many pages a second all vCPUs together shall write; 0 for none.</summary>
    void WritePages(double perSecond);

    /// <summary>What was done since the last call.</summary>
    GuestProgress Progress();
}
