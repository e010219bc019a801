using Checkpoint.Cli.Output;

namespace Checkpoint.Cli.Machines;

/// <summary>The pauses of a run. Percentiles are of the last 10 000, so that a run of months takes no more memory; the greatest is of all.</summary>
internal sealed class PauseStatistics
{
    private const int Kept = 10_000;

    private readonly Queue<long> _last = new();
    private long _max;

    public void Add(long pauseUs)
    {
        if (_last.Count == Kept)
            _last.Dequeue();
        _last.Enqueue(pauseUs);
        _max = Math.Max(_max, pauseUs);
    }

    /// <summary>Null where there was none.</summary>
    public PauseLine? ToLine()
    {
        if (_last.Count == 0)
            return null;
        var sorted = _last.Order().ToArray();
        return new PauseLine(At(sorted, 50), At(sorted, 99), _max);
    }

    // The nearest rank: a value that was measured, not one between two.
    private static long At(long[] sorted, int percent) => sorted[Math.Max(0, (int)Math.Ceiling(sorted.Length * percent / 100.0) - 1)];
}
