namespace Checkpoint.Bench;

/// <summary>How fast the TSC counts: guests measure their own time with it.</summary>
internal sealed class Tsc(long khz)
{
    public double Hz { get; } = khz * 1000.0;

    public double ToUs(ulong ticks) => ticks / Hz * 1e6;
}
