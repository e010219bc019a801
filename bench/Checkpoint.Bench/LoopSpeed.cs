using System.Diagnostics;

namespace Checkpoint.Bench;

/// <summary>
/// How fast the guest's loop goes where nobody takes checkpoints and nothing is logged: measured before and after, because a machine that others
/// share is not as fast at one time as at another. What both differ by is what a slow-down means nothing below.
/// </summary>
internal sealed class LoopSpeed
{
    private static readonly TimeSpan s_piece = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_warmAtMost = TimeSpan.FromSeconds(5);

    private readonly Distribution _perSecond = new();

    public double PerSecond => _perSecond.Mean;

    public double DriftPercent => 100 * (_perSecond.Max - _perSecond.At(0)) / PerSecond;

    /// <summary>Measures once; the guest is held before and afterwards.</summary>
    public async Task MeasureAsync(IWriterGuest guest, double pagesPerSecond, long pages)
    {
        // All pages are mapped first: afterwards no write of the guest leaves it.
        guest.WritePages(1e9);
        guest.Go();
        guest.Progress();
        var watch = Stopwatch.StartNew();
        for (var written = 0L; written < pages && watch.Elapsed < s_warmAtMost;)
        {
            await Task.Delay(10);
            written += guest.Progress().Writes;
        }

        guest.WritePages(pagesPerSecond);
        await Task.Delay(50);
        guest.Progress();
        watch.Restart();
        await Task.Delay(s_piece);
        var rounds = guest.Progress().Rounds;
        _perSecond.Add(rounds / watch.Elapsed.TotalSeconds);
        guest.Hold();
    }
}
